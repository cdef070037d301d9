import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as PostgresMetrics from "../../src/layers/postgres/PostgresMetrics.ts"
import { chooseServer } from "../../src/layers/postgres/PostgresServers.ts"
import { Database, TestDatabase } from "../support/Database.ts"
import { counting, sample } from "../support/Samples.ts"
import { patience } from "../support/TimeLimits.ts"

const Measured = Layer.unwrap(
  Effect.gen(function* () {
    const choose = chooseServer(yield* TestDatabase)
    return PostgresMetrics.layer({
      server: yield* choose,
      choose: () => choose,
      hasChoice: false,
      maxConnections: 2,
      idleTimeout: "1 minute"
    })
  })
)

const Counted = Measured.pipe(Layer.provideMerge(Database.embedded), Layer.provideMerge(counting))

layer(Counted, { excludeTestServices: true })("the database is counted", (it) => {
  it.effect("by statement, operation and outcome, with renamed columns as without metrics", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      assert.deepStrictEqual(yield* sql`SELECT username AS display_name FROM users`, [])
      assert.deepStrictEqual(yield* sql`SELECT 'Ann' AS display_name`, [{ displayName: "Ann" }])
      assert.deepStrictEqual(yield* sql`SELECT 'Ann' AS display_name`.withoutTransform, [{ display_name: "Ann" }])
      yield* Effect.flip(sql`SELECT planted FROM users`)
      const queries = (labels: string) => sample(`chat_database_queries_total{${labels}}`)
      assert.strictEqual(yield* queries(`operation="select users",outcome="ok"`), 1)
      assert.strictEqual(yield* queries(`operation="select users",outcome="error"`), 1)
      assert.strictEqual(yield* queries(`operation="select",outcome="ok"`), 2)
      assert.strictEqual(yield* sample(`chat_database_query_duration_seconds_count{operation="select users"}`), 2)
      assert.strictEqual(yield* sample("chat_database_connection_wait_seconds_count"), 4)
    })
  )

  it.effect("by connections in use, and by callers that wait for one", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      assert.strictEqual(yield* sample("chat_database_connections_max"), 2)
      const inUse = sample(`chat_database_connections{state="in-use"}`)
      const waiting = sample(`chat_database_connections{state="waiting"}`)
      // The first statement holds the lock, and the pool has no connection for the third.
      const held = yield* Deferred.make<void>()
      const holder = yield* Effect.forkScoped(
        sql.withTransaction(Effect.andThen(sql`SELECT pg_advisory_xact_lock(2)`, Deferred.await(held)))
      )
      const until = (read: Effect.Effect<number>, wanted: number) =>
        read.pipe(
          Effect.tap(Effect.sleep(5)),
          Effect.repeat({ until: (now) => now === wanted }),
          Effect.timeout(patience)
        )
      yield* until(sample(`chat_database_queries_total{operation="select",outcome="ok"}`), 3)
      const others = yield* Effect.forEach([1, 2], () => Effect.forkScoped(sql`SELECT pg_advisory_xact_lock(2)`))
      yield* until(waiting, 1)
      assert.strictEqual(yield* inUse, 1)
      const [first] = others
      if (first !== undefined) yield* Fiber.interrupt(first)
      yield* Deferred.succeed(held, undefined)
      yield* Fiber.join(holder)
      yield* Effect.forEach(others.slice(1), (fiber) => Fiber.join(fiber))
      assert.deepStrictEqual([yield* inUse, yield* waiting], [0, 0])
    })
  )
})
