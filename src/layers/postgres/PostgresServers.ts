import type { ConnectionOptions } from "node:tls"
import { type PgClient, PgConnection } from "@effect/sql-pg"
import { Array as Arr, Effect, Result, Schedule, Schema } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { insufficientPrivilege, sqlState, wordsOf } from "../../services/platform/Sql.ts"
import {
  addressesOf,
  clientConfig,
  directAddressOf,
  type PostgresTarget,
  type ServerAddress,
  showAddress,
  tls
} from "./PostgresConfig.ts"
import { readState, type ServerState } from "./ServerState.ts"

/** The database cannot be used. The message is one line that names the settings to check. */
export class PostgresError extends Schema.TaggedError<PostgresError>()("PostgresError", { message: Schema.String }) {}

/** A server that answers, and how to connect to it. */
export interface Reached {
  readonly address: ServerAddress
  readonly state: ServerState
  /** It is a pooler that hands out sessions by transaction. */
  readonly pooled: boolean
  readonly config: PgClient.PgPoolConfig
}

/** Uses a connection of its own. */
const connectOnce = <A>(
  config: PgClient.PgPoolConfig,
  use: (connection: PgConnection.PgConnection) => Effect.Effect<A, SqlError>
) => Effect.scoped(Effect.flatMap(PgConnection.make(config), use))

const noTls = (error: SqlError) => error.message.includes("Server refused TLS")

/** PgBouncer ends a connection with these words at its start. */
const refusesParameters = ({ reason }: SqlError) => wordsOf(reason).includes("unsupported startup parameter")

const isStarting = (error: SqlError) => sqlState(error.reason) === "57P03"

const createDatabase = (config: PgClient.PgPoolConfig, database: string) =>
  connectOnce({ ...config, database: "postgres", startupParameters: {} }, (connection) =>
    connection.query(`CREATE DATABASE "${database.replaceAll('"', '""')}" TEMPLATE template0 ENCODING 'UTF8'`)
  ).pipe(
    Effect.tap(() => Effect.logInfo(`created the database "${database}"`)),
    // Another node may have created it at the same time.
    Effect.catchIf(
      (error) => sqlState(error.reason) === "42P04" || error.reason._tag === "UniqueViolation",
      () => Effect.void
    )
  )

/** PgBouncer repeats the words of the server, but not its SQLSTATE. */
const lacksDatabase = (error: SqlError) =>
  sqlState(error.reason) === "3D000" || /^(no such database|database ".*" does not exist)/.test(wordsOf(error.reason))

/** Connects to one server as the target says, finds out what it is, and creates a missing database. */
const reach = Effect.fnUntraced(function* (target: PostgresTarget, address: ServerAddress) {
  const attempt = (ssl: boolean | ConnectionOptions, pooled: boolean) => {
    const config = clientConfig(target, ssl, { address, pooled })
    const look = connectOnce(config, readState)
    return look.pipe(
      Effect.catchIf(lacksDatabase, () => Effect.andThen(createDatabase(config, target.database), look)),
      Effect.map((state): Reached => ({ address, state, pooled, config }))
    )
  }
  const attemptTls = (pooled: boolean) =>
    attempt(tls[target.sslmode], pooled).pipe(
      Effect.catchIf(
        (error) => target.sslmode === "prefer" && noTls(error),
        () => attempt(false, pooled)
      )
    )
  if (target.pooler === true) return yield* attemptTls(true)
  const found = yield* attemptTls(false).pipe(
    Effect.catchIf(
      (error) => target.pooler === undefined && refusesParameters(error),
      () => attemptTls(true)
    )
  )
  // A pooler may be configured to ignore the parameters.
  if (target.pooler === undefined && !found.pooled && !found.state.hasSettings) return yield* attemptTls(true)
  return found
})

/** Why a server cannot be used, and which setting is wrong, in one line. */
const explain = (target: PostgresTarget, address: ServerAddress, error: SqlError) => {
  const at = `PostgreSQL at ${showAddress(address)}`
  const state = sqlState(error.reason) ?? ""
  const cause = wordsOf(error.reason)
  if (lacksDatabase(error) || state === insufficientPrivilege) {
    return `postgres.database: ${at} has no database "${target.database}" that "${target.username}" may use: ${cause}`
  }
  if (error.reason._tag === "AuthenticationError") {
    return `postgres.username, postgres.password: ${at} rejects the credentials of "${target.username}": ${cause}`
  }
  if (refusesParameters(error)) {
    return `postgres.pooler: ${at} is a pooler (${cause}); set postgres.pooler to true, or remove it`
  }
  if (noTls(error) || /CERT|TLS|SSL|SIGNATURE/.test(state)) {
    return `postgres.sslmode: ${target.sslmode} does not work with ${at}: ${cause}`
  }
  if (error.reason._tag === "ConnectionError") {
    return `postgres.host, postgres.port: cannot connect to ${at} (${cause}); start it, correct the two keys, or leave out the section "postgres" to use the embedded one`
  }
  return `${at}: ${cause}`
}

/** Why nothing can be written to a server, or undefined. */
const whyReadOnly = ({ readOnly, standby }: ServerState) => {
  if (standby) return "is a standby (in recovery), which is read-only"
  return readOnly ? "is read-only (default_transaction_read_only is on)" : undefined
}

/** The oldest version of PostgreSQL that this service supports, as `server_version_num` has it. */
const oldestVersion = 150_000

const majorOf = (version: number) => Math.floor(version / 10_000)

const unfit = (target: PostgresTarget, { address, state }: Reached) => {
  if (state.version < oldestVersion) {
    return `postgres.host: PostgreSQL at ${showAddress(address)} is version ${majorOf(state.version)}; ${majorOf(oldestVersion)} or later is needed`
  }
  if (state.encoding !== "UTF8") {
    return `postgres.database: "${target.database}" has the encoding ${state.encoding}; UTF8 is needed`
  }
  return undefined
}

interface Looked {
  readonly address: ServerAddress
  readonly result: Result.Result<Reached, SqlError>
}

/** Why none of the servers can be written to. */
const explainAll = (target: PostgresTarget, all: Arr.NonEmptyReadonlyArray<Looked>) => {
  const [{ address, result }] = all
  const single = all.length === 1
  if (single && Result.isFailure(result)) return explain(target, address, result.failure)
  const reasons = all.map(({ address, result }) => {
    const at = showAddress(address)
    if (Result.isFailure(result)) return `${at} does not answer (${wordsOf(result.failure.reason)})`
    return `${at} ${whyReadOnly(result.success.state) ?? "has an older timeline than the server that was used before"}`
  })
  return single
    ? `postgres.host: PostgreSQL at ${reasons[0]}; name the primary, or list all servers`
    : `postgres.host: none of the servers can be written to: ${reasons.join("; ")}`
}

/** The newest server that can be written to: after a failover, the former primary has an older timeline. */
const newest = (all: ReadonlyArray<Looked>, before: ServerState | undefined) => {
  const found = all.flatMap(({ result }) => (Result.isSuccess(result) ? [result.success] : []))
  const writable = found.filter(({ state }) => whyReadOnly(state) === undefined)
  // With one address there is no choice: an older timeline is a database that was restored.
  const fit = all.length === 1 ? writable : writable.filter(({ state }) => !isOlder(state, before))
  return Arr.reduce(fit, fit[0], (best, one) =>
    best !== undefined && one.state.timeline > best.state.timeline ? one : best
  )
}

const isOlder = (state: ServerState, before: ServerState | undefined) =>
  before !== undefined && before.system === state.system && state.timeline < before.timeline

const lookAtAll = (target: PostgresTarget) =>
  Effect.forEach(
    addressesOf(target),
    (address) => Effect.map(Effect.result(reach(target, address)), (result): Looked => ({ address, result })),
    { concurrency: "unbounded" }
  )

/** How often a server that starts up is looked at again at the start of the service. With the pauses, for 20 seconds. */
const startupLooks = 100
const startupPause = "200 millis"

/**
 * Chooses the server of the target that can be written to, after the one with the state `before`. Without `before`, a
 * server that starts up or recovers from a crash is waited for, 20 seconds at most. Fails with one line that says why there
 * is none.
 */
export const chooseServer = Effect.fn("Postgres.choose")(function* (target: PostgresTarget, before?: ServerState) {
  const look = lookAtAll(target)
  const all = yield* look.pipe(
    Effect.repeat({
      while: (all) =>
        newest(all, before) === undefined &&
        all.some(({ result }) => Result.isFailure(result) && isStarting(result.failure)),
      schedule: Schedule.max([Schedule.spaced(startupPause), Schedule.recurs(before === undefined ? startupLooks : 0)])
    })
  )
  const chosen = newest(all, before)
  if (chosen === undefined) return yield* new PostgresError({ message: explainAll(target, all) })
  const message = unfit(target, chosen)
  if (message !== undefined) return yield* new PostgresError({ message })
  return chosen
})

/** The server for migrations, which take longer than a pooler or the time limits of the other connections allow. */
export const chooseDirect = Effect.fnUntraced(function* (target: PostgresTarget, chosen: Reached) {
  const address = directAddressOf(target)
  if (address === undefined) return chosen
  const direct = yield* reach({ ...target, pooler: undefined }, address).pipe(
    Effect.mapError(
      (error) => new PostgresError({ message: `postgres.direct_host: ${explain(target, address, error)}` })
    )
  )
  const reason = whyReadOnly(direct.state)
  if (reason !== undefined) {
    return yield* new PostgresError({
      message: `postgres.direct_host: PostgreSQL at ${showAddress(address)} ${reason}; name the primary`
    })
  }
  return direct
})
