import type { PgConnection } from "@effect/sql-pg"
import { Effect, Schema } from "effect"
import { sessionSettings } from "./PostgresConfig.ts"

const Row = Schema.Struct({
  standby: Schema.Boolean,
  readOnly: Schema.Boolean,
  version: Schema.Int,
  encoding: Schema.String,
  hasSettings: Schema.Boolean,
  /** Which history of the cluster this is: promoting a standby or restoring to a point in time begins another. */
  timeline: Schema.Int,
  /** The identity of the cluster, which its standbys share; empty where the role may not read it. */
  system: Schema.String,
  /** The identity of the database in the cluster: one that was dropped and restored has another. */
  database: Schema.String,
  /** What the last restore of a backup has written, since a copy of files keeps all of the above; else empty. */
  restored: Schema.String
})

/** The parameter of the database that a restore sets to something new. */
export const epochParameter = "chat_service.epoch"

/** What one session says about its server. */
export type ServerState = typeof Row.Type

const settings = Object.entries(sessionSettings)
  .map(([name, value]) => `current_setting('${name}') = '${value}'`)
  .join(" AND ")

const select = (system: string) => `
  SELECT pg_is_in_recovery() AS "standby",
    current_setting('transaction_read_only') = 'on' AS "readOnly",
    current_setting('server_version_num')::int AS "version",
    current_setting('server_encoding') AS "encoding",
    ${settings} AS "hasSettings",
    CASE WHEN pg_is_in_recovery() THEN 0
      ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END AS "timeline",
    ${system} AS "system",
    (SELECT oid::text FROM pg_database WHERE datname = current_database()) AS "database",
    coalesce(current_setting('${epochParameter}', true), '') AS "restored"`

const withSystem = select("(SELECT system_identifier::text FROM pg_control_system())")
const withoutSystem = select("''")

const decode = Schema.decodeUnknownSync(Row)

/** Asks the server of a session what it is. */
export const readState = (connection: PgConnection.PgConnection) =>
  connection.query(withSystem, [], false).pipe(
    Effect.catchIf(
      (error) => error.reason._tag === "AuthorizationError",
      () => connection.query(withoutSystem, [], false)
    ),
    Effect.map(({ rows }) => decode(rows[0]))
  )

/** Which log the server has. Another value means that what clients have seen may be gone or replaced. */
export const epochOf = ({ database, restored, system, timeline }: ServerState) =>
  [system, database, timeline, ...(restored === "" ? [] : [restored])].join("-")
