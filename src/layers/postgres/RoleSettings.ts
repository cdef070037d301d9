import type { PgConnection } from "@effect/sql-pg"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { sessionSettings } from "./PostgresConfig.ts"

/**
 * Gives the role of this service the settings of its sessions, as its defaults in this database. Connections through a
 * pooler cannot set them at their start. Repeating it changes nothing.
 */
export const setRoleSettings = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const [held] = yield* sql<{ settings: ReadonlyArray<string> }>`
    SELECT COALESCE(array_agg(setting), '{}') AS settings
    FROM pg_db_role_setting, unnest(setconfig) AS setting
    WHERE setrole = current_user::regrole AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())`
  const missing = Object.entries({ ...sessionSettings, timezone: "UTC" }).filter(
    ([name, value]) => !held?.settings.some((setting) => setting.toLowerCase() === `${name}=${value}`.toLowerCase())
  )
  if (missing.length === 0) return
  const [names] = yield* sql<{ database: string; role: string }>`
    SELECT quote_ident(current_database()) AS database, quote_ident(current_user) AS role`
  for (const [name, value] of missing) {
    yield* sql.unsafe(`ALTER ROLE ${names?.role} IN DATABASE ${names?.database} SET ${name} = '${value}'`)
  }
  yield* Effect.logInfo("the role has its settings in this database, for connections through a pooler", {
    settings: missing.map(([name, value]) => `${name}=${value}`)
  })
})

const set = `SELECT ${Object.entries(sessionSettings)
  .map(([name, value]) => `set_config('${name}', '${value}', false)`)
  .join(", ")}`

/**
 * Gives the session behind a connection its settings: a pooler keeps sessions that are older than the defaults of the
 * role. Every client of the pooler with this role and database wants the same.
 */
export const keepSettings = (connection: PgConnection.PgConnection) => connection.query(set, [], false)
