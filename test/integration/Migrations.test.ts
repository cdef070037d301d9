import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { NodeServices } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { SqlClient } from "effect/sql"
import { migrate } from "../../src/layers/Migrations.ts"
import { layerServer } from "../../src/layers/Postgres.ts"
import { owned } from "../support/Clusters.ts"
import { databases, TestDatabase } from "../support/Database.ts"

/** A directory of migrations, each one statement, by id. */
const directory = (statements: Readonly<Record<number, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      // Inside the project, or their imports would not be found.
      const path = mkdtempSync(join(import.meta.dirname, "../../node_modules/.migrations-"))
      for (const [id, statement] of Object.entries(statements)) {
        const body = `import { Effect } from "effect"
import { SqlClient } from "effect/sql"
export default Effect.flatMap(SqlClient.SqlClient, (sql) => sql\`${statement}\`)`
        writeFileSync(join(path, `${id}_step.mjs`), body)
      }
      return path
    }),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )

/** A node that starts on a database that nobody has migrated; it makes the database when it is the first. */
const node = Effect.gen(function* () {
  const target = yield* TestDatabase
  const name = owned.name(randomBytes(6).toString("hex"))
  const sql = yield* SqlClient.SqlClient
  yield* Effect.addFinalizer(() => Effect.orDie(sql`DROP DATABASE IF EXISTS ${sql(name)} WITH (FORCE)`))
  const client = Layer.fresh(layerServer({ ...target, database: name }))
  return <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(Effect.provide(Layer.fresh(client)), Effect.provide(Logger.layer([])), Effect.scoped)
})

const names = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const rows = yield* sql<{ name: string }>`
    SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`
  return rows.map(({ name }) => name)
})

for (const database of databases) {
  describe.skipIf(database.skip)(`migrations on ${database.name}`, () => {
    layer(Layer.merge(database.layer, NodeServices.layer), { excludeTestServices: true })((it) => {
      it.effect("run once when two nodes start together, however long they take", () =>
        Effect.gen(function* () {
          const start = yield* node
          // Longer than the lock_timeout of the pool.
          const path = yield* directory({ 1: "CREATE TABLE slow AS SELECT pg_sleep(2.5)::text" })
          const done = yield* Effect.all([start(migrate(path)), start(migrate(path))], { concurrency: 2 })
          assert.deepStrictEqual(done.flat(), [[1, "step"]])
        })
      )

      it.effect("go forward by what is new", () =>
        Effect.gen(function* () {
          const start = yield* node
          const first = yield* directory({ 1: "CREATE TABLE a ()" })
          const second = yield* directory({ 1: "CREATE TABLE a ()", 2: "CREATE TABLE b ()" })
          assert.deepStrictEqual(yield* start(migrate(first)), [[1, "step"]])
          assert.deepStrictEqual(yield* start(migrate(second)), [[2, "step"]])
          assert.deepStrictEqual(yield* start(migrate(second)), [])
          assert.deepStrictEqual(yield* start(names), ["a", "b", "chat_migrations"])
        })
      )

      it.effect("let an older release start on the database of a newer one", () =>
        Effect.gen(function* () {
          const start = yield* node
          yield* start(migrate(yield* directory({ 1: "CREATE TABLE a ()", 2: "CREATE TABLE b ()" })))
          assert.deepStrictEqual(yield* start(migrate(yield* directory({ 1: "CREATE TABLE a ()" }))), [])
        })
      )

      it.effect("refuse a database that lacks one which later ones passed by", () =>
        Effect.gen(function* () {
          const start = yield* node
          yield* start(migrate(yield* directory({ 1: "CREATE TABLE a ()", 3: "CREATE TABLE c ()" })))
          const path = yield* directory({ 1: "CREATE TABLE a ()", 2: "CREATE TABLE b ()", 3: "CREATE TABLE c ()" })
          const error = yield* Effect.flip(start(migrate(path)))
          assert.include(error.message, "2_step")
        })
      )

      it.effect("leave nothing of a step that fails, nor of those before it", () =>
        Effect.gen(function* () {
          const start = yield* node
          const path = yield* directory({ 1: "CREATE TABLE a ()", 2: "CREATE TABLE" })
          const error = yield* Effect.flip(start(migrate(path)))
          assert.include(error.message, "2_step")
          assert.deepStrictEqual(yield* start(names), ["chat_migrations"])
        })
      )
    })
  })
}
