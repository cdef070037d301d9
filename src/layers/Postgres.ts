import type { ConnectionOptions } from "node:tls"
import { PgClient, PgConnection } from "@effect/sql-pg"
import { Effect, Layer, type Redacted, Schedule, Schema } from "effect"
import { snakeToCamel } from "effect/String"
import type { SqlError } from "effect/sql/SqlError"
import { Settings } from "../services/Settings.ts"
import { sqlState } from "../services/Sql.ts"
import { startEmbeddedPostgres } from "./EmbeddedPostgres.ts"
import type { Durability } from "./EmbeddedPostgresFiles.ts"
import * as PostgresMetrics from "./PostgresMetrics.ts"
import { postgresTypes } from "./PostgresTypes.ts"

/** The database cannot be used; the message is one line that names the keys to look at. */
export class PostgresError extends Schema.TaggedError<PostgresError>()("PostgresError", { message: Schema.String }) {}

/** Where a database is. */
export interface PostgresTarget {
  /** A host name or address, or the directory of a unix socket. */
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password?: Redacted.Redacted
  readonly database: string
  /** As libpq means it, except that `prefer` settles on the first connection whether to use TLS. */
  readonly sslmode: "disable" | "prefer" | "require" | "verify-full"
  readonly maxConnections: number
}

const camelNames = new Map<string, string>()

/** Column names are few and come with every row. */
const columnName = (name: string) => {
  const known = camelNames.get(name)
  if (known !== undefined) return known
  const camel = snakeToCamel(name)
  camelNames.set(name, camel)
  return camel
}

const unverified: ConnectionOptions = { rejectUnauthorized: false }

const tls = { disable: false, prefer: unverified, require: unverified, "verify-full": true } as const

/** How long a connection of a pool may have nothing to do. */
const idleTimeout = "10 minutes"

/** What every client of ours asks for: limits on the server's side, so that no lock or query outlives its use. */
export const clientConfig = (target: PostgresTarget, ssl: boolean | ConnectionOptions): PgClient.PgPoolConfig => ({
  host: target.host,
  port: target.port,
  username: target.username,
  password: target.password,
  database: target.database,
  ssl,
  maxConnections: target.maxConnections,
  idleTimeout,
  keepAlive: "30 seconds",
  applicationName: "chat-service",
  startupParameters: {
    lock_timeout: "2s",
    statement_timeout: "10s",
    idle_in_transaction_session_timeout: "5s",
    timezone: "UTC"
  },
  transformResultNames: columnName,
  // What is inside a jsonb value belongs to whoever wrote it.
  transformJson: false,
  types: postgresTypes
})

const noTls = (error: SqlError) => error.message.includes("Server refused TLS")

const causeOf = ({ reason }: SqlError) => {
  const { cause } = reason
  return cause instanceof Error && cause.message !== "" ? cause.message : (sqlState(reason) ?? reason.message)
}

const explain = (target: PostgresTarget) => (error: SqlError) => {
  const at = `PostgreSQL at ${target.host}:${target.port}`
  const state = sqlState(error.reason) ?? ""
  const cause = causeOf(error)
  if (state === "3D000" || state === "42501") {
    return `postgres.database: ${at} has no database "${target.database}" that "${target.username}" may use: ${cause}`
  }
  if (error.reason._tag === "AuthenticationError") {
    return `postgres.username, postgres.password: ${at} does not let "${target.username}" in: ${cause}`
  }
  if (noTls(error) || /CERT|TLS|SSL|SIGNATURE/.test(state)) {
    return `postgres.sslmode: ${target.sslmode} does not work with ${at}: ${cause}`
  }
  if (error.reason._tag === "ConnectionError") {
    return `postgres.host, postgres.port: no ${at} (${cause}); start it, correct the two keys, or leave out the section "postgres" to use the embedded one`
  }
  return `${at}: ${cause}`
}

const connectOnce = <A>(config: PgClient.PgPoolConfig, statement: string, then: (rows: ReadonlyArray<unknown>) => A) =>
  Effect.scoped(
    Effect.flatMap(PgConnection.make(config), (connection) =>
      Effect.map(connection.query(statement), ({ rows }) => then(rows))
    )
  )

const createDatabase = (config: PgClient.PgPoolConfig, database: string) =>
  connectOnce(
    { ...config, database: "postgres", startupParameters: {} },
    `CREATE DATABASE "${database.replaceAll('"', '""')}" TEMPLATE template0 ENCODING 'UTF8'`,
    () => undefined
  ).pipe(
    Effect.tap(() => Effect.logInfo(`created the database "${database}"`)),
    // Another node was faster.
    Effect.catchIf(
      (error) => sqlState(error.reason) === "42P04" || error.reason._tag === "UniqueViolation",
      () => Effect.void
    )
  )

const Server = Schema.Struct({ version: Schema.Int, encoding: Schema.String })

/** Connects once, makes a missing database, and says what is wrong in terms of the settings. */
const check = Effect.fnUntraced(function* (target: PostgresTarget) {
  const look = (config: PgClient.PgPoolConfig) =>
    connectOnce(
      config,
      "SELECT current_setting('server_version_num')::int AS version, current_setting('server_encoding') AS encoding",
      ([row]) => Schema.decodeUnknownSync(Server)(row)
    ).pipe(
      // Starting up, or recovering from a crash.
      Effect.retry({
        while: (error) => sqlState(error.reason) === "57P03",
        schedule: Schedule.spaced("200 millis"),
        times: 100
      })
    )
  const attempt = (ssl: boolean | ConnectionOptions) => {
    const config = clientConfig(target, ssl)
    return look(config).pipe(
      Effect.catchIf(
        (error) => sqlState(error.reason) === "3D000",
        () => Effect.andThen(createDatabase(config, target.database), look(config))
      ),
      Effect.map((server) => ({ server, config }))
    )
  }
  const { config, server } = yield* attempt(tls[target.sslmode]).pipe(
    Effect.catchIf(
      (error) => target.sslmode === "prefer" && noTls(error),
      () => attempt(false)
    ),
    Effect.mapError((error) => new PostgresError({ message: explain(target)(error) }))
  )
  if (server.version < 150_000) {
    return yield* new PostgresError({
      message: `postgres.host: PostgreSQL at ${target.host}:${target.port} is version ${Math.floor(server.version / 10_000)}; 15 or later is needed`
    })
  }
  if (server.encoding !== "UTF8") {
    return yield* new PostgresError({
      message: `postgres.database: "${target.database}" has the encoding ${server.encoding}; UTF8 is needed`
    })
  }
  return config
})

const connect = Effect.fn("Postgres.connect")(function* (target: PostgresTarget) {
  const config = yield* check(target)
  return yield* PgClient.make(config).pipe(
    Effect.mapError((error) => new PostgresError({ message: explain(target)(error) }))
  )
})

/** A pool of connections to a server; a missing database is created where that is allowed. */
export const layerServer = (target: PostgresTarget) => PgClient.layerFrom(connect(target))

const embeddedConnections = 10

/** The embedded PostgreSQL (see `startEmbeddedPostgres`) and a pool of connections to it. */
const layerEmbedded = (options: { readonly dataDir: string; readonly durability: Durability }) =>
  PgClient.layerFrom(
    Effect.gen(function* () {
      const server = yield* startEmbeddedPostgres(options)
      return yield* connect({
        ...server,
        database: "postgres",
        sslmode: "disable",
        maxConnections: embeddedConnections
      })
    })
  )

/**
 * `SqlClient` and `PgClient` for the settings: the server of the section `postgres`, or else the embedded one. What the
 * `SqlClient` does is counted.
 */
export const layer = Layer.unwrap(
  Effect.gen(function* () {
    const { data, postgres } = yield* Settings
    const client =
      postgres === undefined ? layerEmbedded({ dataDir: data.dir, durability: "full" }) : layerServer(postgres)
    const maxConnections = postgres?.maxConnections ?? embeddedConnections
    return PostgresMetrics.layer({ maxConnections, idleTimeout }).pipe(Layer.provideMerge(client))
  })
)
