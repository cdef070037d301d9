import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { type FunctionSet, MigrationError } from "./SchemaFiles.ts"

/** The table in which release 0.1.0 recorded its migrations, and its nodes still look at it when they start. */
const table = "chat_migrations"

/** The last migration of release 0.1.0. The table migrations up to `baseline` create what it and those before it did. */
const last = 23
const baseline = 5

/** Functions of release 0.1.0 that no longer exist. */
const former = ["create_group"]

const namesOf = ({ files }: FunctionSet) =>
  files.flatMap(({ sql }) => [...sql.matchAll(/^CREATE OR REPLACE FUNCTION (\w+)/gm)].map(([, name]) => name ?? ""))

/**
 * Prepares a database that release 0.1.0 has migrated for the table migrations and functions of today. Answers the id of
 * the last table migration whose tables it has, or 0 when no release has migrated it. Fails when it has not all
 * migrations of release 0.1.0.
 *
 * It drops every function that has the name of one of ours, whatever its arguments: some databases still have functions
 * of an earlier text or with other arguments, because migrations were edited before release 0.1.0.
 */
export const adopt = Effect.fn("Migrations.adopt")(function* (sql: SqlClient.SqlClient, functions: FunctionSet) {
  const [known] = yield* sql<{ exists: boolean }>`SELECT to_regclass(${table}) IS NOT NULL AS exists`
  if (known?.exists !== true) return 0
  const applied = yield* sql<{ migrationId: number; name: string }>`
    SELECT migration_id, name FROM ${sql(table)} ORDER BY migration_id`
  const latest = applied.at(-1)
  if (latest === undefined) return 0
  if (applied.filter(({ migrationId }) => migrationId <= last).length < last) {
    return yield* new MigrationError({
      message: `the database is at migration ${latest.migrationId}_${latest.name} of a release before 0.1.0: migrate it with release 0.1.0 (commit 539edca) first, and then with this release`
    })
  }
  const old = yield* sql<{ signature: string }>`
    SELECT p.oid::regprocedure::text AS signature FROM pg_proc p
    WHERE p.pronamespace = current_schema()::regnamespace AND p.prokind = 'f'
      AND p.proname = ANY (${[...namesOf(functions), ...former]}::text[])
      AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')`
  for (const { signature } of old) yield* sql.unsafe(`DROP FUNCTION ${signature}`)
  yield* Effect.logInfo("adopted the database of release 0.1.0")
  return baseline
})
