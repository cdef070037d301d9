import { PgClient } from "@effect/sql-pg"
import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Context, Effect, Exit, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import type { ConversationId } from "../../../src/domain/Ids.ts"
import { clientConfig } from "../../../src/layers/postgres/PostgresConfig.ts"
import { PubSub } from "../../../src/services/bus/PubSub.ts"
import { conversationSubject } from "../../../src/services/bus/Subjects.ts"
import { ReadMarkers } from "../../../src/services/conversations/ReadMarkers.ts"
import * as ReadMarkersSql from "../../../src/services/conversations/ReadMarkersSql.ts"
import type { NewEntry } from "../../../src/services/log/Entry.ts"
import { Log } from "../../../src/services/log/Log.ts"
import * as LogSql from "../../../src/services/log/LogSql.ts"
import type { LogOptions } from "../../../src/services/log/LogWriter.ts"
import {
  again,
  chat,
  dmOf,
  entryOf,
  groupOf,
  listen,
  messagesIn,
  outcome,
  people,
  person,
  twoOfUs,
  until,
  wholeLog
} from "../../support/Chat.ts"
import { databases, TestDatabase } from "../../support/Database.ts"
import { holdHead, holding, holdMember } from "../../support/Holding.ts"

const all = { concurrency: "unbounded" } as const

let nodes = 0

/** A further node on the same database: its log and read markers, and its connections by their name. */
const makeNode = Effect.fnUntraced(function* (
  options: LogOptions & {
    readonly parameters?: Readonly<Record<string, string>>
    readonly bus?: PubSub["Service"]
  } = {}
) {
  nodes++
  const name = `node ${nodes}`
  const { bus, parameters, ...log } = options
  const target = yield* TestDatabase
  const config = clientConfig(target, false)
  const client = PgClient.layerFrom(
    PgClient.make({
      ...config,
      applicationName: name,
      maxConnections: 4,
      startupParameters: { ...config.startupParameters, ...parameters }
    })
  )
  const services = yield* Layer.build(
    Layer.mergeAll(LogSql.layerWith(log), Layer.fresh(ReadMarkersSql.layer)).pipe(
      Layer.provide(client),
      Layer.provide(Layer.succeed(PubSub, bus ?? (yield* PubSub)))
    )
  )
  const { append } = Context.get(services, Log)
  const sql = yield* SqlClient.SqlClient
  const waiting = (count: number) =>
    Effect.map(
      sql`SELECT FROM pg_stat_activity WHERE application_name = ${name} AND wait_event_type = 'Lock'`,
      (rows) => rows.length >= count
    )
  return {
    append,
    markRead: Context.get(services, ReadMarkers).markRead,
    /** Begins an append, which is queued when this returns. */
    begin: (entry: NewEntry) => Effect.forkChild(append(entry), { startImmediately: true }),
    /** Waits until `count` statements of the node wait for a lock. */
    blocked: (count = 1) => until(waiting(count)),
    /** Ends the connections that wait for a lock. */
    terminate: sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = ${name} AND wait_event_type = 'Lock'`
  }
})

/** Appends an entry as another node would. */
const appendThere = Effect.fnUntraced(function* (entry: NewEntry) {
  const sql = yield* SqlClient.SqlClient
  return sql`SELECT seq FROM append_message(true, ${entry.conversationId}::uuid, ${entry.senderId}::uuid, ${entry.id}::uuid,
    ${entry.clientMessageId}::text, decode(${entry.requestHash}, 'hex'), ${entry.type}::text, ${entry.body}::text, NULL::uuid)`
})

const sent = (fiber: Fiber.Fiber<{ readonly ack: { readonly seq: number; readonly duplicate: boolean } }, unknown>) =>
  Effect.map(Fiber.join(fiber), ({ ack }) => ({ seq: ack.seq, duplicate: ack.duplicate }))

const bodies = (id: ConversationId) => Effect.map(wholeLog(id), (events) => messagesIn(events).map(({ body }) => body))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    withLayer(chat.sql.pipe(Layer.provideMerge(database.layer)))("Log: races", (it) => {
      for (const shape of ["alone", "in a batch", "one by one"] as const) {
        /**
         * Makes the node commit `entries` by one call once the head is free: each alone, or all in one batch, which is
         * appended one by one when one of them has an extra.
         */
        const beginBehind = Effect.fnUntraced(function* (
          node: Effect.Success<ReturnType<typeof makeNode>>,
          entries: ReadonlyArray<NewEntry>
        ) {
          const [sender] = entries
          if (shape === "alone" || sender === undefined) return yield* Effect.forEach(entries, node.begin)
          // While this entry is being committed, the others gather.
          const busy = yield* twoOfUs
          const release = yield* holdMember(busy.id, busy.a)
          const first = yield* node.begin(entryOf(busy.id, busy.a))
          yield* node.blocked()
          const fibers = yield* Effect.forEach(entries, (entry, index) =>
            node.begin(shape === "one by one" && index === 0 ? { ...entry, extra: {} } : entry)
          )
          yield* release
          yield* Fiber.join(first)
          return fibers
        })

        it.effect(`${shape}: an id that another node commits meanwhile is a duplicate`, () =>
          Effect.gen(function* () {
            const node = yield* makeNode({ shards: 1 })
            const { a, b, id } = yield* twoOfUs
            const [known, reused] = [entryOf(id, a), entryOf(id, a)]
            const there = Effect.andThen(yield* appendThere(known), yield* appendThere(reused))
            const release = yield* holding(there)
            const other = { ...entryOf(id, a), clientMessageId: reused.clientMessageId }
            const fibers = yield* beginBehind(node, [again(known), other, entryOf(id, b)])
            yield* node.blocked()
            yield* release
            const outcomes = yield* Effect.forEach(fibers, (fiber) =>
              Effect.match(Fiber.join(fiber), {
                onFailure: (error) => error._tag,
                onSuccess: ({ ack }) => (ack.duplicate ? `duplicate ${ack.seq}` : `stored ${ack.seq}`)
              })
            )
            assert.deepStrictEqual(outcomes, ["duplicate 2", "Conflict", "stored 4"])
            assert.lengthOf(yield* wholeLog(id), 4)
          })
        )

        it.effect(`${shape}: a message that another node commits meanwhile comes first`, () =>
          Effect.gen(function* () {
            const node = yield* makeNode({ shards: 1 })
            const { a, b, id } = yield* twoOfUs
            const release = yield* holding(yield* appendThere(entryOf(id, a)))
            const fibers = yield* beginBehind(node, [entryOf(id, b), entryOf(id, b)])
            yield* node.blocked()
            yield* release
            assert.deepStrictEqual(yield* Effect.forEach(fibers, sent), [
              { seq: 3, duplicate: false },
              { seq: 4, duplicate: false }
            ])
            assert.lengthOf(yield* wholeLog(id), 4)
          })
        )

        it.effect(`${shape}: a member who is removed meanwhile sends nothing`, () =>
          Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            const node = yield* makeNode({ shards: 1 })
            const { a, b, id } = yield* twoOfUs
            // The first message of a DM is always appended alone.
            yield* node.append(entryOf(id, a, { body: "first" }))
            const release = yield* holding(
              Effect.andThen(
                sql`SELECT FROM conversation_heads WHERE conversation_id = ${id} FOR UPDATE`,
                sql`UPDATE conversation_members SET left_seq = 3 WHERE conversation_id = ${id} AND user_id = ${b}`
              )
            )
            const fibers = yield* beginBehind(node, [entryOf(id, b), entryOf(id, a, { body: "stays" }), entryOf(id, b)])
            yield* node.blocked()
            yield* release
            const outcomes = yield* Effect.forEach(fibers, (fiber) => outcome(Fiber.join(fiber)))
            assert.deepStrictEqual(outcomes, ["NotFound", "ok", "NotFound"])
            assert.deepStrictEqual(yield* bodies(id), ["first", "stays"])
          })
        )

        it.effect(`${shape}: a reply sees a change of its target that commits meanwhile`, () =>
          Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            const node = yield* makeNode({ shards: 1 })
            const { a, b, id } = yield* twoOfUs
            const [early, late] = [entryOf(id, a), entryOf(id, a)]
            yield* node.append(early)
            const release = yield* holding(
              Effect.andThen(
                yield* appendThere(late),
                sql`UPDATE conversation_members SET visible_from_seq = 3 WHERE conversation_id = ${id} AND user_id = ${b}`
              )
            )
            const fibers = yield* beginBehind(node, [
              entryOf(id, b, { replyTo: early.id }),
              entryOf(id, b, { replyTo: late.id })
            ])
            yield* node.blocked()
            yield* release
            const outcomes = yield* Effect.forEach(fibers, (fiber) => outcome(Fiber.join(fiber)))
            assert.deepStrictEqual(outcomes, ["NotFound", "ok"])
            assert.strictEqual(messagesIn(yield* wholeLog(id))[2]?.replyTo?.seq, 3)
          })
        )

        it.effect(`${shape}: a bad row fails alone, and the other rows of its batch are stored`, () =>
          Effect.gen(function* () {
            const node = yield* makeNode({ shards: 1 })
            const { a, b, id } = yield* twoOfUs
            const other = yield* dmOf(a, yield* person)
            const heard = yield* listen(conversationSubject(id))
            const fibers = yield* beginBehind(node, [
              entryOf(id, a, { body: "1" }),
              entryOf(other, a, { body: "there" }),
              entryOf(id, b, { body: "poison\u0000" }),
              entryOf(id, b, { body: "2" })
            ])
            const exits = yield* Effect.forEach(fibers, (fiber) => Effect.exit(Fiber.join(fiber)))
            assert.deepStrictEqual(
              exits.map((exit) => (Exit.isSuccess(exit) ? "ok" : Exit.hasDies(exit) ? "defect" : "failure")),
              ["ok", "ok", "defect", "ok"]
            )
            assert.deepStrictEqual(yield* bodies(id), ["1", "2"])
            assert.deepStrictEqual(yield* bodies(other), ["there"])
            assert.deepStrictEqual(
              heard.map(({ seq }) => seq),
              [2, 3]
            )
          })
        )
      }

      it.effect("a held conversation delays no other, and its own entries stay in order", () =>
        Effect.gen(function* () {
          const node = yield* makeNode()
          const owner = yield* person
          const [held, ...others] = yield* Effect.replicateEffect(groupOf(owner), 12)
          if (held === undefined) return yield* Effect.die("no group")
          const heard = yield* listen(conversationSubject(held))
          const release = yield* holdHead(held)
          const fibers = [yield* node.begin(entryOf(held, owner, { body: "1" }))]
          const rounds = Arr.range(2, 6)
          for (const n of rounds) {
            fibers.push(yield* node.begin(entryOf(held, owner, { body: `${n}` })))
            const acks = yield* Effect.forEach(others, (id) => node.append(entryOf(id, owner)), all)
            assert.deepStrictEqual(new Set(acks.map(({ ack }) => ack.seq)), new Set([n]))
          }
          yield* node.blocked()
          assert.isTrue(fibers.every((fiber) => fiber.pollUnsafe() === undefined))
          yield* release
          const acks = yield* Effect.forEach(fibers, sent)
          assert.deepStrictEqual(
            acks,
            Arr.range(2, 7).map((seq) => ({ seq, duplicate: false }))
          )
          assert.deepStrictEqual(yield* bodies(held), ["1", "2", "3", "4", "5", "6"])
          const { ack } = yield* node.append(entryOf(held, owner))
          assert.strictEqual(ack.seq, 8, "the lane is closed again")
          yield* until(Effect.sync(() => heard.length >= 7))
          assert.deepStrictEqual(
            heard.map(({ seq }) => seq),
            Arr.range(2, 8)
          )
        })
      )

      it.effect("keeps the order when a batch is repeated row by row", () =>
        Effect.gen(function* () {
          const node = yield* makeNode({ shards: 1 })
          const { a, id } = yield* twoOfUs
          const [busy, slow] = [yield* twoOfUs, yield* twoOfUs]
          const releaseBusy = yield* holdMember(busy.id, busy.a)
          const first = yield* node.begin(entryOf(busy.id, busy.a))
          yield* node.blocked()
          const releaseHead = yield* holdHead(id)
          const releaseSlow = yield* holdMember(slow.id, slow.a)
          const fibers = yield* Effect.forEach(
            [
              entryOf(id, a, { body: "1" }),
              entryOf(slow.id, slow.a, { body: "\u0000" }),
              entryOf(slow.id, slow.a),
              entryOf(id, a, { body: "2" })
            ],
            node.begin
          )
          yield* releaseBusy
          yield* Fiber.join(first)
          // The head was locked for "1"; "2" comes later, when the head would be free.
          yield* node.blocked()
          yield* releaseHead
          yield* releaseSlow
          yield* Effect.forEach(fibers, (fiber) => Effect.exit(Fiber.join(fiber)))
          assert.deepStrictEqual(yield* bodies(id), ["1", "2"])
        })
      )

      it.effect("keeps the order when a batch has an id twice", () =>
        Effect.gen(function* () {
          const node = yield* makeNode({ shards: 1 })
          const { a, id } = yield* twoOfUs
          const [busy, slow] = [yield* twoOfUs, yield* twoOfUs]
          const releaseBusy = yield* holdMember(busy.id, busy.a)
          const first = yield* node.begin(entryOf(busy.id, busy.a))
          yield* node.blocked()
          const releaseHead = yield* holdHead(id)
          const releaseSlow = yield* holdMember(slow.id, slow.a)
          const [one, two, more] = [
            entryOf(id, a, { body: "1" }),
            entryOf(id, a, { body: "2" }),
            entryOf(slow.id, slow.a)
          ]
          const fibers = yield* Effect.forEach([one, two, more, again(two)], node.begin)
          yield* releaseBusy
          yield* Fiber.join(first)
          yield* node.blocked()
          yield* releaseHead
          yield* releaseSlow
          const acks = yield* Effect.forEach(fibers, sent)
          assert.deepStrictEqual(
            acks.map(({ duplicate, seq }) => [seq, duplicate]),
            [
              [2, false],
              [3, false],
              [2, false],
              [3, true]
            ]
          )
          assert.deepStrictEqual(yield* bodies(id), ["1", "2"])
        })
      )

      it.effect("a batch is not stored for a membership that ended after its check, and is repeated row by row", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const node = yield* makeNode({ shards: 1 })
          const { a, b, id } = yield* twoOfUs
          const busy = yield* twoOfUs
          // The first message of a DM is always appended alone.
          yield* node.append(entryOf(id, a, { body: "first" }))
          const releaseBusy = yield* holdMember(busy.id, busy.a)
          const first = yield* node.begin(entryOf(busy.id, busy.a))
          yield* node.blocked()
          // Every change of a membership holds the head. This one does not, so that it comes between check and write.
          const release = yield* holding(
            sql`SELECT FROM conversation_members WHERE conversation_id = ${id} AND user_id = ${b} FOR NO KEY UPDATE`,
            sql`UPDATE conversation_members SET left_seq = 3 WHERE conversation_id = ${id} AND user_id = ${b}`
          )
          const fibers = yield* Effect.forEach([entryOf(id, b), entryOf(id, a, { body: "stays" })], node.begin)
          yield* releaseBusy
          yield* Fiber.join(first)
          yield* node.blocked()
          yield* release
          const outcomes = yield* Effect.forEach(fibers, (fiber) => outcome(Fiber.join(fiber)))
          assert.deepStrictEqual(outcomes, ["NotFound", "ok"])
          assert.deepStrictEqual(yield* bodies(id), ["first", "stays"])
        })
      )

      it.effect("a head that is held too long makes its conversation unavailable, and a retry is safe", () =>
        Effect.gen(function* () {
          const node = yield* makeNode({ parameters: { lock_timeout: "100ms" } })
          const { a, b, id } = yield* twoOfUs
          const entries = [entryOf(id, a), entryOf(id, b)]
          const release = yield* holdHead(id)
          const outcomes = yield* Effect.forEach(entries, (entry) => outcome(node.append(entry)), all)
          assert.deepStrictEqual(outcomes, ["Unavailable", "Unavailable"])
          yield* release
          const acks = yield* Effect.forEach(entries, (entry) => node.append(again(entry)))
          assert.deepStrictEqual(
            acks.map(({ ack }) => [ack.seq, ack.duplicate]),
            [
              [2, false],
              [3, false]
            ]
          )
          assert.lengthOf(yield* wholeLog(id), 3)
        })
      )

      for (const extra of [null, {}]) {
        it.effect(`appends${extra ? " one by one" : ""} and marks in opposite orders do not deadlock`, () =>
          Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            const node = yield* makeNode({ shards: 1, parameters: { deadlock_timeout: "1min" } })
            const a = yield* person
            const [low, high] = [yield* dmOf(a, yield* person), yield* dmOf(a, yield* person)].sort()
            if (low === undefined || high === undefined) return yield* Effect.die("no conversations")
            const busy = yield* twoOfUs
            const releaseBusy = yield* holdMember(busy.id, busy.a)
            const first = yield* node.begin(entryOf(busy.id, busy.a))
            yield* node.blocked()
            const marked = (id: ConversationId) => sql`SELECT FROM mark_read(ARRAY[${id}]::uuid[], ARRAY[${a}]::uuid[],
            ARRAY[1]::bigint[], ARRAY[false])`
            // One transaction marks both, the lower first; the batch, which has the higher first, comes between.
            const release = yield* holding(
              Effect.andThen(sql`SELECT set_config('deadlock_timeout', '50ms', true)`, marked(low)),
              marked(high)
            )
            const fibers = yield* Effect.forEach([entryOf(high, a, { extra }), entryOf(low, a)], node.begin)
            yield* releaseBusy
            yield* Fiber.join(first)
            yield* node.blocked()
            yield* release
            assert.deepStrictEqual(yield* Effect.forEach(fibers, sent), Arr.replicate({ seq: 2, duplicate: false }, 2))
          })
        )
      }

      it.effect("a batch that a deadlock rolled back is repeated", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const node = yield* makeNode({ shards: 1, parameters: { deadlock_timeout: "50ms" } })
          const a = yield* person
          const [low, high] = [yield* dmOf(a, yield* person), yield* dmOf(a, yield* person)].sort()
          if (low === undefined || high === undefined) return yield* Effect.die("no conversations")
          const busy = yield* twoOfUs
          const releaseBusy = yield* holdMember(busy.id, busy.a)
          const first = yield* node.begin(entryOf(busy.id, busy.a))
          yield* node.blocked()
          const lock = (id: ConversationId) => sql`SELECT FROM conversation_members
            WHERE conversation_id = ${id}::uuid AND user_id = ${a}::uuid FOR UPDATE`
          const release = yield* holding(
            Effect.andThen(sql`SELECT set_config('deadlock_timeout', '1min', true)`, lock(high)),
            lock(low)
          )
          const fibers = yield* Effect.forEach([entryOf(low, a), entryOf(high, a)], node.begin)
          yield* releaseBusy
          yield* Fiber.join(first)
          yield* node.blocked()
          yield* release
          assert.deepStrictEqual(yield* Effect.forEach(fibers, sent), Arr.replicate({ seq: 2, duplicate: false }, 2))
        })
      )

      it.effect("appends and marks at full speed from two nodes do not deadlock", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          // A backend reports its counts when it ends.
          const ended = until(
            Effect.map(
              sql`SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE 'node %'`,
              (rows) => rows.length === 0
            )
          )
          const deadlocks = Effect.andThen(
            ended,
            sql`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`
          )
          const before = yield* deadlocks
          const owner = yield* person
          const users = [owner, ...(yield* people(3))]
          const ids = yield* Effect.replicateEffect(groupOf(owner, ...users), 6)
          yield* Effect.gen(function* () {
            const two = [yield* makeNode(), yield* makeNode()]
            const work = two.flatMap((node) =>
              Arr.range(1, 15).flatMap((n) =>
                ids.flatMap((id) =>
                  users.flatMap((user) => [
                    Effect.asVoid(node.append(entryOf(id, user))),
                    node.markRead(user, id, { seq: n, force: n % 3 === 0 })
                  ])
                )
              )
            )
            const outcomes = yield* Effect.forEach(work, outcome, all)
            assert.deepStrictEqual(new Set(outcomes), new Set(["ok"]))
          }).pipe(Effect.scoped)
          assert.deepStrictEqual(yield* deadlocks, before)
          for (const id of ids) assert.lengthOf(yield* wholeLog(id), 1 + 2 * 15 * 4)
        })
      )

      it.effect("a full queue refuses at once", () =>
        Effect.gen(function* () {
          const node = yield* makeNode({ shards: 1, capacity: 3 })
          const { a, id } = yield* twoOfUs
          const release = yield* holdHead(id)
          const fibers = yield* Effect.forEach([1, 2, 3], () => node.begin(entryOf(id, a)))
          yield* node.blocked()
          assert.strictEqual(yield* outcome(node.append(entryOf(id, a))), "Unavailable")
          yield* release
          yield* Effect.forEach(fibers, sent)
          assert.strictEqual(yield* outcome(node.append(entryOf(id, a))), "ok")
          assert.lengthOf(yield* wholeLog(id), 5)
        })
      )

      it.effect("an entry that waits too long is unavailable, and the log keeps working", () =>
        Effect.gen(function* () {
          const node = yield* makeNode()
          const { a, b, id } = yield* twoOfUs
          const release = yield* holdHead(id)
          const entry = entryOf(id, a)
          const fiber = yield* node.begin(entry)
          yield* node.blocked()
          yield* TestClock.adjust("9 seconds")
          assert.isUndefined(fiber.pollUnsafe())
          yield* TestClock.adjust("2 seconds")
          assert.strictEqual(yield* outcome(Fiber.join(fiber)), "Unavailable")
          yield* release
          const { ack } = yield* node.append(entryOf(id, b))
          assert.strictEqual(ack.seq, 3)
          assert.deepInclude((yield* node.append(again(entry))).ack, { messageId: entry.id, seq: 2, duplicate: true })
          assert.lengthOf(yield* wholeLog(id), 3)
        })
      )

      it.effect("an interrupted caller neither undoes nor repeats its append", () =>
        Effect.gen(function* () {
          const node = yield* makeNode()
          const { a, id } = yield* twoOfUs
          const heard = yield* listen(conversationSubject(id))
          const release = yield* holdHead(id)
          const entry = entryOf(id, a)
          const fiber = yield* node.begin(entry)
          yield* node.blocked()
          yield* Fiber.interrupt(fiber)
          yield* release
          yield* until(Effect.sync(() => heard.length > 0))
          assert.deepInclude((yield* node.append(again(entry))).ack, { messageId: entry.id, seq: 2, duplicate: true })
          assert.lengthOf(yield* wholeLog(id), 2)
        })
      )

      it.effect("a connection that dies under a batch makes it unavailable, and a retry is safe", () =>
        Effect.gen(function* () {
          const node = yield* makeNode()
          const { a, b, id } = yield* twoOfUs
          const release = yield* holdHead(id)
          const entries = [entryOf(id, a), entryOf(id, b)]
          const fiber = yield* node.begin(entries[0] ?? entryOf(id, a))
          yield* node.blocked()
          yield* node.terminate
          assert.strictEqual(yield* outcome(Fiber.join(fiber)), "Unavailable")
          yield* release
          const acks = yield* Effect.forEach(entries, (entry) => node.append(again(entry)))
          assert.deepStrictEqual(
            acks.map(({ ack }) => [ack.seq, ack.duplicate]),
            [
              [2, false],
              [3, false]
            ]
          )
          assert.lengthOf(yield* wholeLog(id), 3)
        })
      )

      it.effect("a bus that fails closes no conversation", () =>
        Effect.gen(function* () {
          const pubsub = yield* PubSub
          const node = yield* makeNode({ bus: { ...pubsub, publish: () => Effect.die(new RangeError("bus")) } })
          const { a, id } = yield* twoOfUs
          const release = yield* holdHead(id)
          const fibers = yield* Effect.forEach([1, 2, 3], () => node.begin(entryOf(id, a)))
          yield* node.blocked()
          yield* release
          const acks = yield* Effect.forEach(fibers, sent)
          assert.deepStrictEqual(
            acks.map(({ seq }) => seq),
            [2, 3, 4]
          )
          assert.strictEqual((yield* node.append(entryOf(id, a))).ack.seq, 5)
        })
      )

      it.effect("a marker whose row is held fails alone", () =>
        Effect.gen(function* () {
          const node = yield* makeNode({ parameters: { lock_timeout: "100ms" } })
          const { a, id } = yield* twoOfUs
          const others = yield* Effect.replicateEffect(twoOfUs, 5)
          const release = yield* holdMember(id, a)
          const outcomes = yield* Effect.forEach(
            [...others.slice(0, 2), { a, id }, ...others.slice(2)],
            (one) => outcome(node.markRead(one.a, one.id, { seq: 1 })),
            all
          )
          assert.deepStrictEqual(outcomes, ["ok", "ok", "Unavailable", "ok", "ok", "ok"])
          yield* release
          assert.strictEqual(yield* outcome(node.markRead(a, id, { seq: 1 })), "ok")
        })
      )
    })
  })
}
