import { fileURLToPath } from "node:url"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import { type MigrationState, SchemaReady } from "../../services/platform/readiness/SchemaReady.ts"
import { insufficientPrivilege, sqlState, wordsOf } from "../../services/platform/Sql.ts"
import { adopt } from "./Adoption.ts"
import { PostgresServer } from "./Postgres.ts"
import { setRoleSettings } from "./RoleSettings.ts"
import { type FunctionSet, MigrationError, readSchemaFiles, type SqlFile, type TableMigration } from "./SchemaFiles.ts"

/** The key of the advisory lock that migrating nodes take, also those of release 0.1.0: "chat" in ASCII. */
const lock = 0x63686174

/** The directory of this release: `migrations/README.md` describes what is in it. */
const ours = fileURLToPath(new URL("../../../migrations", import.meta.url))

const labelOf = ({ id, name }: { readonly id: number; readonly name: string }) => `${id}_${name}`

/** A node that waits here sees what the node before it has committed: each statement has a snapshot of its own. */
const takeTurn = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const [held] = yield* sql<{ locked: boolean }>`SELECT pg_try_advisory_xact_lock(${lock}) AS locked`
  if (held?.locked === true) return
  yield* Effect.logInfo("waiting for another node to finish its migrations")
  yield* sql`SELECT pg_advisory_xact_lock(${lock})`
})

/** The driver takes one statement a call, and EXECUTE takes a whole file: the server itself finds its statements. */
const run = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, file: SqlFile, label: string) {
  yield* sql`SELECT set_config('chat.migration', ${file.sql}, true)`
  yield* sql
    .unsafe("DO $$ BEGIN EXECUTE current_setting('chat.migration'); END $$")
    .pipe(Effect.mapError((error) => new MigrationError({ message: `${label}: ${wordsOf(error.reason)}` })))
})

/** Makes the two tables of this file, and records the table migrations that a database of release 0.1.0 has. */
const prepare = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  tables: ReadonlyArray<TableMigration>,
  functions: FunctionSet
) {
  const [known] = yield* sql<{ exists: boolean }>`SELECT to_regclass('chat_schema_tables') IS NOT NULL AS exists`
  if (known?.exists === true) return
  const adopted = yield* adopt(sql, functions)
  yield* sql`
    CREATE TABLE chat_schema_tables (
      id int PRIMARY KEY,
      name text NOT NULL,
      hash text NOT NULL,
      applied_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
    )`
  yield* sql`
    CREATE TABLE chat_schema_functions (
      number int NOT NULL,
      hash text NOT NULL,
      applied_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
    )`
  for (const migration of tables) if (migration.id <= adopted) yield* record(sql, migration)
})

const record = (sql: SqlClient.SqlClient, { hash, id, name }: TableMigration) =>
  sql`INSERT INTO chat_schema_tables (id, name, hash) VALUES (${id}, ${name}, ${hash})`

/** Applies the table migrations after the last one that was applied; answers them, and what the database has then. */
const applyTables = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, tables: ReadonlyArray<TableMigration>) {
  const applied = yield* sql<{ id: number; name: string; hash: string }>`
    SELECT id, name, hash FROM chat_schema_tables ORDER BY id`
  const hashes = new Map(applied.map(({ hash, id }) => [id, hash]))
  const last = applied.at(-1)?.id ?? 0
  const passed = tables.filter(({ id }) => id <= last)
  const missing = passed.filter(({ id }) => !hashes.has(id))
  if (missing.length > 0) {
    return yield* new MigrationError({
      message: `the database has later migrations than ${missing.map(labelOf).join(", ")}, which it lacks`
    })
  }
  const changed = passed.filter(({ hash, id }) => hashes.get(id) !== hash)
  if (changed.length > 0) {
    return yield* new MigrationError({
      message: `${changed.map(labelOf).join(", ")} was changed after the database applied it: restore the file, and write a new migration`
    })
  }
  const done = tables.filter(({ id }) => id > last)
  for (const migration of done) {
    yield* run(sql, migration, labelOf(migration))
    yield* record(sql, migration)
  }
  const known = new Set(tables.map(({ id }) => id))
  const latest = [...applied, ...done].at(-1)
  const state: MigrationState = {
    latest: latest === undefined ? null : labelOf(latest),
    newer: applied.filter(({ id }) => !known.has(id)).map(labelOf)
  }
  return { done, state }
})

/**
 * Applies the functions when the set has a higher number than the one that was applied last, so that a node of an
 * earlier release never brings back its text; answers the number of the set that the database has then.
 */
const applyFunctions = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, { files, hash, number }: FunctionSet) {
  const [applied] = yield* sql<{ number: number; hash: string }>`SELECT number, hash FROM chat_schema_functions`
  if (applied !== undefined && applied.number === number && applied.hash !== hash) {
    return yield* new MigrationError({
      message: `the functions were changed after the database applied set ${number}: run "npm run functions", which raises the number`
    })
  }
  if (applied !== undefined && applied.number >= number) return { applied: false, number: applied.number }
  if (applied?.hash !== hash) for (const file of files) yield* run(sql, file, `functions/${file.name}.sql`)
  yield* sql`DELETE FROM chat_schema_functions`
  yield* sql`INSERT INTO chat_schema_functions (number, hash) VALUES (${number}, ${hash})`
  return { applied: true, number }
})

/** The settings of a migration's transaction. A role may have limits of its own, for connections through a pooler. */
const withoutLimits = (sql: SqlClient.SqlClient) => sql`
  SELECT set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true),
    set_config('idle_in_transaction_session_timeout', '0', true), set_config('timezone', 'UTC', true)`

const toMigrationError = (username: string, { reason }: SqlError) => {
  const words = wordsOf(reason)
  const message =
    sqlState(reason) === insufficientPrivilege
      ? `postgres.username: "${username}" may not create tables in the database (${words}): run GRANT CREATE ON SCHEMA public TO "${username}", or make it the owner of the database`
      : `cannot migrate the database: ${words}`
  return new MigrationError({ message })
}

const migrateFrom = Effect.fn("Migrations.migrate")(
  function* (directory: string) {
    const { functions, tables } = yield* readSchemaFiles(directory)
    const { chosen, direct } = yield* PostgresServer
    // A session of its own, without the time limits of the pool.
    const sql = yield* PgClient.makeClient({
      ...direct.config,
      applicationName: "chat-service migrations",
      startupParameters: { timezone: "UTC" }
    })
    // One transaction: its end releases the lock, also where a pooler hands out sessions, and a failure leaves nothing.
    const { done, set, state } = yield* sql.withTransaction(
      Effect.gen(function* () {
        yield* withoutLimits(sql)
        yield* takeTurn(sql)
        if (chosen.pooled) yield* setRoleSettings(sql)
        yield* prepare(sql, tables, functions)
        const { done, state } = yield* applyTables(sql, tables)
        return { done, state, set: yield* applyFunctions(sql, functions) }
      })
    )
    if (state.newer.length > 0 || set.number > functions.number) {
      yield* Effect.logWarning("the database was migrated by a newer release", {
        migrations: state.newer,
        functions: set.number
      })
    }
    if (done.length > 0 || set.applied) {
      yield* Effect.logInfo("migrated the database", { migrations: done.map(labelOf), functions: set.number })
    }
    return { done: done.map(({ id, name }) => [id, name] as const), state }
  },
  Effect.catchTag("SqlError", (error) =>
    Effect.flatMap(PostgresServer, ({ target }) => toMigrationError(target.username, error))
  ),
  Effect.scoped,
  Effect.provide(Reactivity.layer)
)

/**
 * Brings the database to this release, forward only, and answers the table migrations that it ran. Nodes that start
 * together take turns, however long it takes. A database that a newer release has migrated is left as it is: migrations
 * expand before they contract. Repeating it is safe. Fails when the database or the files of `directory` do not fit; then
 * nothing was changed. Needs `FileSystem` and `Path`.
 */
export const migrate = (directory: string = ours) => Effect.map(migrateFrom(directory), ({ done }) => done)

/** Migrates the database before anything that stands on this layer is built. */
export const layer = Layer.effect(
  SchemaReady,
  Effect.map(migrateFrom(ours), ({ state }) => state)
)
