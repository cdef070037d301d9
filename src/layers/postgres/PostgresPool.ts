import type { PgConnection } from "@effect/sql-pg"
import { Effect, Exit } from "effect"
import { ConnectionError, SqlError } from "effect/sql/SqlError"
import { LogEpoch } from "../../services/platform/LogEpoch.ts"
import { DatabaseFaults } from "../../services/platform/readiness/DatabaseFaults.ts"
import { sqlState } from "../../services/platform/Sql.ts"
import { type Generation, type Generations, makeGenerations, type PostgresPoolOptions } from "./Generations.ts"
import { showAddress } from "./PostgresConfig.ts"
import type { Reached } from "./PostgresServers.ts"
import { keepSettings } from "./RoleSettings.ts"
import { epochOf, readState } from "./ServerState.ts"

/** The SQLSTATE of a write to a server that is read-only. */
const readOnly = "25006"

/** The server shuts down, has crashed or starts up, or the connection itself failed. */
const broken = /^(57P0[1-3]|08...)$/

const standby = ({ address }: Reached) =>
  new SqlError({
    reason: new ConnectionError({
      cause: Object.assign(new Error(`PostgreSQL at ${showAddress(address)} is a standby, which is read-only`), {
        code: readOnly
      }),
      message: "PostgresPool: the server is a standby",
      operation: "connect"
    })
  })

/**
 * Looks at the server of a new connection once, and makes its generation the owner. Fails, and drops the connection, when
 * the server is a standby.
 */
const makeCheck = Effect.fnUntraced(function* (
  { isCurrent, renew }: Generations,
  owners: WeakMap<PgConnection.PgConnection, Generation>
) {
  const epoch = yield* LogEpoch
  return Effect.fnUntraced(function* (generation: Generation, connection: PgConnection.PgConnection) {
    const state = yield* readState(connection)
    if (state.standby) {
      yield* generation.pool.invalidate(connection)
      renew()
      return yield* standby(generation.server)
    }
    if (generation.server.pooled && !state.hasSettings) yield* keepSettings(connection)
    // A connection of an earlier generation may be to a server that is used no longer.
    if (isCurrent(generation)) epoch.observe(epochOf(state))
    owners.set(connection, generation)
  })
})

/**
 * A pool of connections that follows the server which can be written to, until the scope closes. A connection to a standby
 * is never lent. When a statement fails because the server is read-only, the server is chosen again, and if that finds
 * one, all connections are replaced; this is done at most once a second. A connection that the server has given up is
 * replaced alone. Statements that fail are not repeated.
 */
export const makePool = Effect.fnUntraced(function* (options: PostgresPoolOptions) {
  const { hasChoice } = options
  const faults = yield* DatabaseFaults
  const generations = yield* makeGenerations(options)
  const { enter, leave, renew } = generations
  /** The generation of every connection that was checked. */
  const owners = new WeakMap<PgConnection.PgConnection, Generation>()
  const check = yield* makeCheck(generations, owners)

  const onConnectError = (error: SqlError) =>
    Effect.sync(() => {
      if (hasChoice && error.reason._tag === "ConnectionError") renew()
    })

  const borrow = <A, E, R>(use: (connection: PgConnection.PgConnection) => Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const generation = enter()
      return Effect.onExit(
        generation.pool.use((connection) =>
          owners.has(connection) ? use(connection) : Effect.andThen(check(generation, connection), use(connection))
        ),
        (exit) => {
          const left = leave(generation)
          if (Exit.isSuccess(exit)) return left
          const failure = exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error
          return failure instanceof SqlError ? Effect.andThen(onConnectError(failure), left) : left
        }
      )
    })

  const get = Effect.gen(function* () {
    const generation = yield* Effect.acquireRelease(Effect.sync(enter), leave)
    const connection = yield* Effect.tapError(generation.pool.get, onConnectError)
    if (!owners.has(connection)) yield* check(generation, connection)
    return { connection, generation }
  })

  return {
    /** Lends a connection to one effect. */
    use: borrow,
    /** Lends a connection until the scope closes. */
    get: Effect.map(get, ({ connection }) => connection),
    /** Lends a connection until the scope closes, for statements that belong together. */
    reserve: Effect.gen(function* () {
      const { connection, generation } = yield* get
      const pinned = yield* connection.pin
      owners.set(pinned, generation)
      return pinned
    }),
    /** Takes the failure of a statement: a connection that cannot be used any longer is not lent again. */
    report: (connection: PgConnection.PgConnection, error: SqlError): Effect.Effect<void> =>
      Effect.suspend(() => {
        const state = sqlState(error.reason) ?? ""
        faults.report(state)
        if (state === readOnly || (hasChoice && error.reason._tag === "ConnectionError")) renew()
        const generation = owners.get(connection)
        return generation !== undefined && (state === readOnly || broken.test(state))
          ? generation.pool.invalidate(connection)
          : Effect.void
      })
  }
})

export type PostgresPool = Effect.Success<ReturnType<typeof makePool>>
