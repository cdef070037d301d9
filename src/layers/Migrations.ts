import { fileURLToPath } from "node:url"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import { Migrator, SqlClient } from "effect/sql"
import * as MigratorFileSystem from "effect/sql/MigratorFileSystem"
import { Migrated, type MigrationState } from "../services/Migrated.ts"

const table = "chat_migrations"

/** The key of the advisory lock that migrating nodes take: "chat" in ASCII. */
const lock = 0x63686174

const ours = fileURLToPath(new URL("../../migrations", import.meta.url))

const migrateFrom = Effect.fn("Migrations.migrate")(
  function* (directory: string) {
    const { config } = yield* PgClient.PgClient
    const loader = MigratorFileSystem.fromFileSystem(directory)
    // A session of its own, without the limits of the pool: its end gives the lock back.
    const session = yield* PgClient.makeClient({
      ...config,
      applicationName: "chat-service migrations",
      startupParameters: { timezone: "UTC" }
    })
    const [held] = yield* session<{ locked: boolean }>`SELECT pg_try_advisory_lock(${lock}) AS locked`
    if (held?.locked !== true) {
      yield* Effect.logInfo("waiting for another node to finish its migrations")
      yield* session`SELECT pg_advisory_lock(${lock})`
    }
    const done = yield* Migrator.make({})({ loader, table }).pipe(Effect.provideService(SqlClient.SqlClient, session))
    const applied = yield* session<{ migrationId: number; name: string }>`
    SELECT migration_id, name FROM ${session(table)} ORDER BY migration_id`
    const known = new Map((yield* loader).map(([id, name]) => [id, name]))
    const newer = applied.filter((migration) => !known.has(migration.migrationId))
    const missing = [...known].filter(([id]) => !applied.some((migration) => migration.migrationId === id))
    if (missing.length > 0) {
      return yield* new Migrator.MigrationError({
        kind: "BadState",
        message: `the database has later migrations than ${missing.map(([id, name]) => `${id}_${name}`).join(", ")}, which it lacks`
      })
    }
    const nameOf = ({ migrationId, name }: (typeof applied)[number]) => `${migrationId}_${name}`
    const last = applied.at(-1)
    const state: MigrationState = { latest: last === undefined ? null : nameOf(last), newer: newer.map(nameOf) }
    if (newer.length > 0) {
      yield* Effect.logWarning("the database was migrated by a newer release", { migrations: state.newer })
    }
    for (const [id, name] of done) yield* Effect.logInfo(`migrated: ${id}_${name}`)
    return { done, state }
  },
  Effect.scoped,
  Effect.provide(Reactivity.layer)
)

/**
 * Brings the database to this release, forward only, and answers what it ran. Nodes that start together take turns,
 * however long it takes. A database that a newer release has migrated is fine: migrations expand before they contract.
 * Needs `FileSystem` and `Path`.
 */
export const migrate = (directory: string = ours) => Effect.map(migrateFrom(directory), ({ done }) => done)

/** Migrates the database before anything that stands on this layer is built. */
export const layer = Layer.effect(
  Migrated,
  Effect.map(migrateFrom(ours), ({ state }) => state)
)
