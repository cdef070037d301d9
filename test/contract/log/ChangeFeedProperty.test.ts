import { randomInt } from "node:crypto"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, References } from "effect"
import { SqlClient } from "effect/sql"
import * as fc from "fast-check"
import type { ConversationId } from "../../../src/domain/Ids.ts"
import { clientConfig } from "../../../src/layers/postgres/PostgresConfig.ts"
import { type Change, ChangeFeed } from "../../../src/services/log/ChangeFeed.ts"
import * as ChangeFeedSql from "../../../src/services/log/ChangeFeedSql.ts"
import { chat, entryOf, groupOf, person, until, wholeLog } from "../../support/Chat.ts"
import { databases, TestDatabase } from "../../support/Database.ts"
import { isDone } from "../../support/Indexing.ts"
import { seqsOf } from "./ChangeFeed.contract.ts"

const seed = Number(process.env.CHAT_TEST_SEED ?? randomInt(2 ** 31))
const runs = Number(process.env.CHAT_TEST_RUNS ?? 3)

/** A transaction of a writer: it sends to these conversations, in the order of their ids, and may be undone. */
const write = fc.record({
  places: fc.uniqueArray(fc.nat(2), { minLength: 1, maxLength: 3 }),
  each: fc.integer({ min: 1, max: 2 }),
  undone: fc.boolean()
})

/** How a consumer does one call: how many changes it takes, how many it handles, and how it ends. */
const call = fc.record({
  most: fc.integer({ min: 1, max: 6 }),
  handles: fc.nat(6),
  end: fc.constantFrom("commits", "commits", "commits", "fails", "dies", "is interrupted", "loses its connection")
})

const plan = fc.record({
  writers: fc.array(fc.array(write, { minLength: 4, maxLength: 12 }), { minLength: 2, maxLength: 4 }),
  nodes: fc.array(fc.array(call, { minLength: 10, maxLength: 30 }), { minLength: 2, maxLength: 3 })
})

type Plan = typeof plan extends fc.Arbitrary<infer A> ? A : never

let consumers = 0

/** The change feed of a further node, which has one connection. */
const makeNode = Effect.fnUntraced(function* (name: string) {
  const target = yield* TestDatabase
  const client = PgClient.layerFrom(
    PgClient.make({ ...clientConfig(target, false), applicationName: name, maxConnections: 1 })
  )
  const services = yield* Layer.build(Layer.fresh(ChangeFeedSql.layer).pipe(Layer.provideMerge(client)))
  return { name, feed: Context.get(services, ChangeFeed), sql: Context.get(services, SqlClient.SqlClient) }
})

const runPlan = Effect.fnUntraced(function* ({ nodes, writers }: Plan) {
  const sql = yield* SqlClient.SqlClient
  const consumer = `consumer ${consumers++}`
  const owner = yield* person
  const all = yield* Effect.forEach(nodes, (calls, n) =>
    Effect.map(makeNode(`${consumer} ${n}`), (node) => ({ ...node, calls }))
  )
  const [first] = all
  if (first === undefined) return yield* Effect.die("no node")
  yield* first.feed.consume(consumer, 1, () => Effect.succeed({ handled: 0 }))
  const ids = [yield* groupOf(owner), yield* groupOf(owner), yield* groupOf(owner)].sort()
  const given: Array<Change> = []

  const runWriter = (writes: Plan["writers"][number]) =>
    Effect.forEach(writes, ({ each, places, undone }) =>
      Effect.gen(function* () {
        for (const place of [...places].sort()) {
          const id = ids[place] ?? ""
          for (let n = 0; n < each; n++) {
            const { clientMessageId, id: messageId, requestHash } = entryOf(ids[0] ?? (yield* groupOf(owner)), owner)
            yield* sql`SELECT FROM append_message(true, ${id}::uuid, ${owner}::uuid, ${messageId}::uuid,
              ${clientMessageId}::text, decode(${requestHash}, 'hex'), 'text', 'a message', NULL)`
          }
          yield* Effect.yieldNow
        }
        if (undone) return yield* Effect.fail("undone" as const)
      }).pipe(
        sql.withTransaction,
        Effect.catchIf(
          (error) => error === "undone",
          () => Effect.void
        )
      )
    )

  /** What a consumer does in its transaction: it writes the seqs that it handles down. */
  const handle = (node: typeof first, { end, handles }: Plan["nodes"][number][number]) =>
    Effect.fnUntraced(function* (changes: ReadonlyArray<Change>) {
      given.push(...changes)
      const handled = changes.slice(0, handles)
      for (const change of handled) {
        yield* node.sql`INSERT INTO seen (consumer, conversation_id, seq)
          SELECT ${consumer}::text, ${change.conversationId}::uuid, unnest(${seqsOf([change])}::int[])`
      }
      if (end === "fails") return yield* Effect.fail("failed" as const)
      if (end === "dies") return yield* Effect.die("died")
      if (end === "is interrupted") return yield* Effect.interrupt
      if (end === "loses its connection") {
        yield* sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ${node.name}`
      }
      return { handled: handled.length }
    })

  const consume = (node: typeof first, call: Plan["nodes"][number][number]) =>
    node.feed.consume(consumer, call.most, handle(node, call))

  yield* sql`CREATE TABLE IF NOT EXISTS seen (n bigserial, consumer text, conversation_id uuid, seq int)`
  const writing = yield* Effect.forkChild(Effect.forEach(writers, runWriter, { concurrency: "unbounded" }))
  yield* Effect.forEach(
    all,
    (node) =>
      Effect.forEach(node.calls, (call) => Effect.exit(Effect.yieldNow.pipe(Effect.andThen(consume(node, call))))),
    {
      concurrency: "unbounded"
    }
  )
  yield* Fiber.join(writing)
  const rest = { most: 5, handles: 5, end: "commits" } as const
  yield* until(Effect.flatMap(Effect.exit(Effect.forEach(all, (node) => consume(node, rest))), () => isDone(consumer)))

  const seen = yield* sql<{ conversationId: ConversationId; seq: number }>`
    SELECT conversation_id, seq FROM seen WHERE consumer = ${consumer} ORDER BY n`
  for (const id of ids) {
    const log = (yield* wholeLog(id)).map(({ seq }) => seq)
    assert.deepStrictEqual(
      seen.filter(({ conversationId }) => conversationId === id).map(({ seq }) => seq),
      log,
      "what was handled is every event once, in order"
    )
    let last = 0
    for (const { firstSeq, lastSeq } of given.filter(({ conversationId }) => conversationId === id)) {
      assert.isAtMost(firstSeq, last + 1, "what is given leaves nothing out")
      last = Math.max(last, lastSeq)
    }
  }
})

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    withLayer(chat.sql.pipe(Layer.provideMerge(database.layer)), { excludeTestServices: true })(
      "a consumer of the change feed",
      (it) => {
        for (const [index, steps] of fc.sample(plan, { seed, numRuns: runs }).entries()) {
          it.effect(`sees every event in order, whenever it is killed (CHAT_TEST_SEED=${seed}, plan ${index})`, () =>
            runPlan(steps).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None"))
          )
        }
      }
    )
  })
}
