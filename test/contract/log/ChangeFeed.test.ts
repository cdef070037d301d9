import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import type { Change } from "../../../src/services/log/ChangeFeed.ts"
import { chat, entryOf, groupOf, people, person, store, twoOfUs, until, wholeLog } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { blocked, holding } from "../../support/Holding.ts"
import { isDone, isReady } from "../../support/Indexing.ts"
import { changeFeedContract, makeConsumer, seqsOf } from "./ChangeFeed.contract.ts"

describe("fake", () => changeFeedContract(chat.fake))

/** Sends a message in a transaction that goes on. */
const append = (sql: SqlClient.SqlClient, id: ConversationId, senderId: UserId) => {
  const entry = entryOf(id, senderId)
  return sql`SELECT FROM append_message(true, ${id}::uuid, ${senderId}::uuid, ${entry.id}::uuid,
    ${entry.clientMessageId}::text, decode(${entry.requestHash}, 'hex'), 'text', 'a message', NULL)`
}

/** Sends two messages as one batch, in a transaction that goes on. */
const appendTwo = (sql: SqlClient.SqlClient, id: ConversationId, senderId: UserId) => {
  const entries = [entryOf(id, senderId), entryOf(id, senderId)]
  return sql`SELECT FROM append_messages(true, ${[id, id]}::uuid[], ${[senderId, senderId]}::uuid[],
    ${entries.map((entry) => entry.id)}::uuid[], ${entries.map((entry) => entry.clientMessageId)}::text[],
    ${entries.map((entry) => Buffer.from(entry.requestHash, "hex"))}::bytea[], '{text,text}', '{one,two}', '{NULL,NULL}')`
}

type Consumer = Effect.Success<typeof makeConsumer>

/** Consumes everything that there is, `most` at a time, and returns what was given. */
const drain = Effect.fnUntraced(function* ({ consume, name }: Consumer, most = 100) {
  const given: Array<Change> = []
  yield* until(
    Effect.gen(function* () {
      const done = yield* consume((changes) => changes.length, most)
      given.push(...(done?.changes ?? []))
      return done === undefined && (yield* isDone(name))
    })
  )
  return given
})

const of = (given: ReadonlyArray<Change>, id: ConversationId) => given.filter((change) => change.conversationId === id)

for (const database of databases) {
  const sqlLayer = chat.sql.pipe(Layer.provideMerge(database.layer))
  describe.skipIf(database.skip)(database.name, () => {
    changeFeedContract(sqlLayer)

    it.layer(sqlLayer)("the change feed in the database", (it) => {
      it.effect("passes over no transaction that commits late", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [late, soon] = [yield* twoOfUs, yield* twoOfUs]
          const consumer = yield* makeConsumer
          yield* drain(consumer)
          const commit = yield* holding(append(sql, late.id, late.a))
          yield* store(entryOf(soon.id, soon.a))
          const [state] = yield* sql`SELECT waits FROM consumer_state(${consumer.name}::text)`
          assert.deepStrictEqual(state, { waits: "held" })
          assert.isUndefined(yield* consumer.consume(({ length }) => length))
          yield* commit
          const given = yield* drain(consumer)
          assert.deepStrictEqual(
            given.map(({ conversationId }) => conversationId),
            [late.id, soon.id]
          )
        })
      )

      it.effect("keeps the order of a log when an older transaction writes to it later", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { a, id } = yield* twoOfUs
          const other = yield* twoOfUs
          const consumer = yield* makeConsumer
          yield* drain(consumer)
          // This transaction has its id, and waits for its turn in the conversation, while later ones write there.
          const older = yield* holding(
            append(sql, other.id, other.a),
            Effect.all([
              append(sql, id, a),
              append(sql, id, a),
              sql`SELECT add_event(${id}::uuid, 'conversation.updated', ${a}::uuid, NULL, '{}')`,
              appendTwo(sql, id, a),
              appendTwo(sql, id, a)
            ])
          )
          for (let n = 0; n < 3; n++) yield* store(entryOf(id, a))
          yield* older
          yield* store(entryOf(id, a))
          const given = yield* drain(consumer, 1)
          assert.deepStrictEqual(seqsOf(of(given, id)), Arr.range(2, 12))
          assert.deepStrictEqual(seqsOf(of(given, other.id)), [2])
        })
      )

      it.effect("has one row for a transaction and a conversation", () =>
        Effect.gen(function* () {
          const owner = yield* person
          const many = yield* people(30)
          const consumer = yield* makeConsumer
          const id = yield* groupOf(owner)
          yield* drain(consumer)
          yield* Members.use((members) => members.add(owner, id, many))
          assert.deepStrictEqual(of(yield* drain(consumer), id), [{ conversationId: id, firstSeq: 2, lastSeq: 31 }])
          assert.lengthOf(yield* wholeLog(id), 31)
        })
      )

      it.effect("is purged behind the slowest consumer, in small steps", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { a, id } = yield* twoOfUs
          const rows = Effect.map(
            sql<{ first: number }>`SELECT first_seq AS first FROM change_feed WHERE conversation_id = ${id}::uuid
              ORDER BY first_seq`,
            (found) => found.map(({ first }) => first)
          )
          yield* sql`DELETE FROM change_feed_consumers`
          const [fast, slow] = [yield* makeConsumer, yield* makeConsumer]
          yield* drain(fast)
          yield* drain(slow)
          for (let n = 0; n < 6; n++) yield* store(entryOf(id, a))
          const last = [2, 3, 4, 5, 6, 7]
          yield* drain(fast)
          assert.deepStrictEqual((yield* rows).slice(-6), last)
          // What a call was given, it deletes twice, so that the feed gets shorter.
          yield* isReady(slow.name)
          yield* slow.consume(() => 4, 4)
          assert.deepStrictEqual(yield* rows, [6, 7])
          yield* drain(slow)
          assert.deepStrictEqual(yield* rows, [])
        })
      )

      it.effect.each([
        ["", "another"],
        [", also where the id of the cluster is not known", ""]
      ])("is numbered anew after a dump was restored, and misses nothing%s", ([, cluster]) =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { a, id } = yield* twoOfUs
          yield* sql`DELETE FROM change_feed_consumers`
          yield* sql`UPDATE change_feed_state SET cluster = ''`
          const consumer = yield* makeConsumer
          yield* drain(consumer)
          // By this, a dump is noticed in a cluster whose transactions are ahead.
          assert.deepStrictEqual(yield* sql`SELECT cluster = cluster_id() AS "isOurs" FROM change_feed_state`, [
            { isOurs: true }
          ])
          for (let n = 0; n < 2; n++) yield* store(entryOf(id, a))
          // In another cluster, where these transactions are far ahead.
          yield* sql`UPDATE change_feed SET position = (position::text::bigint + 1000000000)::text::xid8`
          yield* sql`UPDATE change_feed_consumers SET position = (position::text::bigint + 999999999)::text::xid8`
          yield* sql`UPDATE conversation_heads SET feed_position = (feed_position::text::bigint + 1000000000)::text::xid8`
          yield* sql`UPDATE change_feed_state SET cluster = ${cluster}`
          yield* store(entryOf(id, a))
          const holds = yield* holding(append(sql, id, a))
          const looking = yield* Effect.forkChild(drain(consumer))
          // Writers and this wait for each other's locks, not forever.
          yield* blocked(1)
          yield* holds
          const given = of(yield* Fiber.join(looking), id)
          assert.deepStrictEqual(
            Array.from(new Set(seqsOf(given))).filter((seq) => seq > 1),
            [2, 3, 4, 5]
          )
          assert.deepStrictEqual(
            seqsOf(given),
            [...seqsOf(given)].sort((one, two) => one - two)
          )
          yield* store(entryOf(id, a))
          assert.deepStrictEqual(seqsOf(of(yield* drain(consumer), id)), [6])
          assert.deepStrictEqual(yield* sql`SELECT first_seq FROM change_feed WHERE conversation_id = ${id}::uuid`, [])
        })
      )
    })
  })
}
