import { PgPool } from "@effect/sql-pg"
import { Clock, type Duration, Effect, Exit, Scope } from "effect"
import { LogEpoch } from "../../services/platform/LogEpoch.ts"
import { monotonicMillis } from "../../services/platform/Monotonic.ts"
import { showAddress } from "./PostgresConfig.ts"
import type { PostgresError, Reached } from "./PostgresServers.ts"
import { epochOf, type ServerState } from "./ServerState.ts"

/** Connections to one server, and how many callers use them or wait for one. */
export interface Generation {
  readonly server: Reached
  readonly pool: PgPool.PgPool
  readonly scope: Scope.Closeable
  users: number
}

/** The server that a pool starts with, how it finds another one, and the limits of its connections. */
export interface PostgresPoolOptions {
  readonly server: Reached
  /** Chooses the server again, after one with this state. */
  readonly choose: (before: ServerState) => Effect.Effect<Reached, PostgresError>
  /** Whether there are several servers to choose from. */
  readonly hasChoice: boolean
  readonly maxConnections: number
  readonly idleTimeout: Duration.Input
}

/** The least time between two replacements of all connections, in milliseconds. */
const renewInterval = 1000

/**
 * Makes the pools that follow one another: `current` has the connections to the server that was chosen last, until the
 * scope closes. An earlier pool is closed when nobody uses it any longer.
 */
export const makeGenerations = Effect.fnUntraced(function* (options: PostgresPoolOptions) {
  const { choose, idleTimeout, maxConnections } = options
  const clock = yield* Clock.Clock
  const epoch = yield* LogEpoch
  const fork = Effect.runForkWith(yield* Effect.context<never>())

  const open = Effect.fnUntraced(function* (server: Reached) {
    const scope = yield* Scope.make()
    const pool = yield* PgPool.make({ ...server.config, maxConnections, idleTimeout }).pipe(Scope.provide(scope))
    return { server, pool, scope, users: 0 } satisfies Generation
  })
  const close = ({ scope }: Generation) => Scope.close(scope, Exit.void)
  let current: Generation = yield* open(options.server)
  epoch.observe(epochOf(options.server.state))
  yield* Effect.addFinalizer(() => close(current))

  const renewNow = Effect.gen(function* () {
    const next = yield* open(yield* choose(current.server.state))
    const before = current
    current = next
    epoch.observe(epochOf(next.server.state))
    yield* Effect.logInfo("all connections to PostgreSQL were replaced", {
      postgres: showAddress(next.server.address),
      timeline: next.server.state.timeline
    })
    if (before.users === 0) yield* close(before)
  })

  let renewing = false
  let renewedAt = Number.NEGATIVE_INFINITY
  const renewed = Effect.sync(() => {
    renewing = false
  })

  return {
    /** Counts another user of the current pool, which `leave` takes back. */
    enter: () => {
      current.users++
      return current
    },
    leave: (generation: Generation) => {
      generation.users--
      return generation.users === 0 && generation !== current ? close(generation) : Effect.void
    },
    isCurrent: (generation: Generation) => generation === current,
    /** Chooses the server again and replaces all connections, in the background and at most once a second. */
    renew: () => {
      const now = monotonicMillis(clock)
      if (renewing || now - renewedAt < renewInterval) return
      renewing = true
      renewedAt = now
      fork(
        renewNow.pipe(
          Effect.catch(({ message }) => Effect.logDebug("no server of PostgreSQL to change to", { reason: message })),
          Effect.ensuring(renewed)
        )
      )
    }
  }
})

export type Generations = Effect.Success<ReturnType<typeof makeGenerations>>
