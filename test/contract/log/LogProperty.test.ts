import { randomInt } from "node:crypto"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, References, Schedule, Scope } from "effect"
import { SqlClient } from "effect/sql"
import * as fc from "fast-check"
import type { Ack } from "../../../src/domain/Message.ts"
import { clientConfig } from "../../../src/layers/postgres/PostgresConfig.ts"
import { encodeEvent, PubSub } from "../../../src/services/bus/PubSub.ts"
import { conversationSubject, type Published } from "../../../src/services/bus/Subjects.ts"
import type { NewEntry } from "../../../src/services/log/Entry.ts"
import { Log } from "../../../src/services/log/Log.ts"
import * as LogSql from "../../../src/services/log/LogSql.ts"
import {
  again,
  chat,
  entryOf,
  groupOf,
  messagesIn,
  outcome,
  people,
  person,
  until,
  wholeLog
} from "../../support/Chat.ts"
import { databases, TestDatabase } from "../../support/Database.ts"

const seed = Number(process.env.CHAT_TEST_SEED ?? randomInt(2 ** 31))
const runs = Number(process.env.CHAT_TEST_RUNS ?? 6)

/**
 * How a client sends one message: once; twice at once to one node; at once to both nodes; so that the caller is
 * interrupted before the answer; or followed by another message under the same id. A failed send is repeated with the
 * same id, on the other node.
 */
const step = fc.record({
  conversation: fc.nat(2),
  node: fc.nat(1),
  // A batch with one such message is appended one by one.
  extra: fc.constantFrom(null, null, null, { names: [["nobody"]] }),
  kind: fc.constantFrom("plain", "plain", "plain", "plain", "twice", "both", "leave", "reuse")
})

/** After this many acknowledged messages a node loses its connections, or stops and is replaced, or both. */
const crash = fc.record({
  node: fc.nat(1),
  kind: fc.constantFrom("terminate", "stop", "both"),
  after: fc.integer({ min: 1, max: 150 })
})

const plan = fc.record({
  clients: fc.array(fc.array(step, { minLength: 10, maxLength: 40 }), { minLength: 4, maxLength: 12 }),
  crashes: fc.array(crash, { minLength: 1, maxLength: 5 })
})

type Plan = typeof plan extends fc.Arbitrary<infer A> ? A : never

let nodes = 0

/** A node with its own bus, which records everything that the node publishes. */
const startNode = Effect.fnUntraced(function* (
  conversations: ReadonlyArray<Parameters<typeof conversationSubject>[0]>
) {
  nodes++
  const name = `node ${nodes}`
  const published: Array<ReadonlyArray<Published>> = []
  const pubsub = Context.get(yield* Layer.build(Layer.fresh(PubSub.layer)), PubSub)
  for (const id of conversations) {
    yield* pubsub.subscribe(conversationSubject(id), (events) => published.push(events))
  }
  const target = yield* TestDatabase
  const client = PgClient.layerFrom(
    PgClient.make({ ...clientConfig(target, false), applicationName: name, maxConnections: 4 })
  )
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
  const services = yield* Layer.build(
    LogSql.layerWith({}).pipe(Layer.provide(client), Layer.provide(Layer.succeed(PubSub, pubsub)))
  ).pipe(Scope.provide(scope))
  return { name, published, acks: [] as { entry: NewEntry; ack: Ack }[], log: Context.get(services, Log), scope }
})

const runPlan = Effect.fnUntraced(function* ({ clients, crashes }: Plan) {
  const sql = yield* SqlClient.SqlClient
  const owner = yield* person
  const senders = [owner, ...(yield* people(2))]
  const group = yield* groupOf(owner, ...senders)
  const ids = [group, yield* groupOf(owner, ...senders), yield* groupOf(owner, ...senders)]
  const all = [yield* startNode(ids), yield* startNode(ids)]
  const living = [...all]
  let acknowledged = 0

  const attempt = Effect.fnUntraced(function* (entry: NewEntry, index: number) {
    const node = living[index % 2]
    if (node === undefined) return yield* Effect.die("no node")
    const { ack } = yield* node.log.append(again(entry))
    node.acks.push({ entry, ack })
    acknowledged++
  })

  const send = (entry: NewEntry, index: number) => {
    let turn = index
    return Effect.suspend(() => attempt(entry, turn++)).pipe(
      Effect.retry({ while: (error) => error._tag === "Unavailable", schedule: Schedule.spaced("3 millis") })
    )
  }

  const runClient = Effect.fnUntraced(function* (steps: Plan["clients"][number], client: number) {
    const sent: Array<NewEntry> = []
    for (const { conversation, extra, kind, node } of steps) {
      const entry = entryOf(ids[conversation] ?? group, senders[client % 3] ?? owner, { extra })
      sent.push(entry)
      if (kind === "leave") {
        yield* Effect.flatMap(Effect.forkChild(attempt(entry, node), { startImmediately: true }), Fiber.interrupt)
      }
      const attempts = kind === "twice" ? [node, node] : kind === "both" ? [node, node + 1] : [node]
      yield* Effect.forEach(attempts, (index) => send(entry, index), { concurrency: "unbounded" })
      if (kind === "reuse") {
        const other = { ...entryOf(entry.conversationId, entry.senderId), clientMessageId: entry.clientMessageId }
        assert.strictEqual(yield* outcome(send(other, node)), "message-id-reused")
      }
    }
    return sent
  })

  const runCrash = Effect.fnUntraced(function* ({ after, kind, node: index }: Plan["crashes"][number]) {
    yield* until(Effect.sync(() => acknowledged >= after))
    const node = living[index]
    if (node === undefined) return
    const terminate = sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ${node.name}`
    if (kind !== "stop") yield* terminate
    if (kind === "terminate") return
    const replacement = yield* startNode(ids)
    all.push(replacement)
    living[index] = replacement
    yield* Scope.close(node.scope, Exit.void)
  })

  const total = clients.flat().length
  const crashing = yield* Effect.forkChild(
    Effect.forEach(
      crashes.filter(({ after }) => after < total).sort((a, b) => a.after - b.after),
      runCrash
    )
  )
  const sent = yield* Effect.forEach(clients, runClient, { concurrency: "unbounded" })
  yield* Fiber.join(crashing)

  const entries = sent.flat()
  const acks = all.flatMap((node) => node.acks)
  for (const id of ids) {
    const log = yield* wholeLog(id)
    const messages = messagesIn(log)
    assert.strictEqual(messages.length, log.length - 1)
    const key = (sender: string, clientMessageId: string) => `${sender} ${clientMessageId}`
    const stored = new Map(messages.map((message) => [key(message.senderId, message.clientMessageId), message]))
    const expected = entries.filter(({ conversationId }) => conversationId === id)
    assert.strictEqual(messages.length, expected.length, "each message is stored once")
    for (const { body, clientMessageId, senderId } of expected) {
      assert.strictEqual(stored.get(key(senderId, clientMessageId))?.body, body)
    }
    const first = new Set<number>()
    for (const { ack, entry } of acks.filter((one) => one.entry.conversationId === id)) {
      const message = stored.get(key(entry.senderId, entry.clientMessageId))
      assert.deepInclude(message, { id: ack.messageId, seq: ack.seq, createdAt: ack.createdAt })
      if (ack.duplicate) continue
      assert.isFalse(first.has(ack.seq), "a message is new but once")
      first.add(ack.seq)
    }
    for (const list of sent) {
      const seqs = list
        .filter(({ conversationId }) => conversationId === id)
        .map((entry) => stored.get(key(entry.senderId, entry.clientMessageId))?.seq ?? 0)
      assert.deepStrictEqual(
        seqs,
        seqs.toSorted((a, b) => a - b),
        "what a client sent one after the other stays so"
      )
    }
    for (const node of all) {
      const mine = node.acks.filter(({ entry }) => entry.conversationId === id)
      const repeated = new Set(mine.flatMap(({ ack }) => (ack.duplicate ? [ack.seq] : [])))
      const heard = node.published.flatMap((batch) => batch.filter(({ conversationId }) => conversationId === id))
      for (const event of heard) {
        const logged = log[(event.seq ?? 0) - 1]
        assert.deepStrictEqual(event, logged && encodeEvent(logged))
      }
      const seqs = heard.flatMap(({ seq }) => (seq === null || repeated.has(seq) ? [] : [seq]))
      assert.deepStrictEqual(
        seqs,
        [...new Set(seqs)].sort((a, b) => a - b),
        "published in order, and once"
      )
      for (const { ack } of mine) {
        if (!ack.duplicate && !repeated.has(ack.seq)) assert.include(seqs, ack.seq, "what is stored is published")
      }
    }
  }
})

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    const layer = chat.sql.pipe(
      Layer.provideMerge(database.layer),
      // Each crash logs a warning.
      Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Error"))
    )
    withLayer(layer, { excludeTestServices: true })("Log", (it) => {
      for (const [run, made] of fc.sample(plan, { seed, numRuns: runs }).entries()) {
        it.effect(`keeps its promises through retries and crashes (CHAT_TEST_SEED=${seed}, plan ${run})`, () =>
          runPlan(made)
        )
      }
    })
  })
}
