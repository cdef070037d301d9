import { Effect, Result } from "effect"
import type { Redis as Client } from "ioredis"
import { every } from "../../services/platform/Background.ts"
import type { SettingsShape } from "../../services/platform/Settings.ts"
import { explain, patienceMs, RedisError, refusal, wrongSettings } from "./RedisClient.ts"

/** After this many pings without an answer, one a second, the connection is replaced: its other end may be dead. */
const maxUnanswered = 3

/** How long the keys of the probe live, in milliseconds. */
const probeLifetimeMs = 10_000

const messageOf = (cause: unknown) => (cause instanceof Error && cause.message !== "" ? cause.message : String(cause))

/** An error of a script also names the script, which says nothing to an operator. */
const withoutScript = (message: string) => message.replace(/,? script: .*$/s, "")

/** What the driver says of a command that was too slow, and of one on a closed connection. */
const timedOut = "Command timed out"
const closed = "Connection is closed."

const wasClosed = "the connection was closed"

const noAnswer = `no answer within ${patienceMs} ms`

interface State {
  /** Why Redis cannot be used now; undefined while it can. */
  down: RedisError | undefined
  /** The last error of the connection, or of the attempts to make one. */
  lastError: string
  /** Whether the server was ever one that can be used. Until then, the failure names the settings to check. */
  used: boolean
  /** Whether this connection has the right database of the right kind of server. */
  admitted: boolean
  /** False before the first attempt to connect and after the scope has closed. */
  watching: boolean
}

/** Reads whether the server is one that this service can use, and does what the service does. Rejects with the reason. */
const examine = async (
  client: Client,
  state: State,
  settings: NonNullable<SettingsShape["redis"]>,
  prefix: string
): Promise<void> => {
  if (!state.admitted) {
    // The driver ignores a failure to select the database and would use database 0.
    if (settings.database !== 0) await client.select(settings.database)
    // A user without permission for INFO is not refused for that.
    const info = await client.info("server").catch(() => "")
    const mode = /redis_mode:(cluster|sentinel)/.exec(info)
    if (mode !== null) throw new Error(mode[0])
    state.admitted = true
  }
  // What limits and presence do: a server may answer PING and refuse everything else.
  const results = await client
    .pipeline()
    .set(`${prefix}probe`, 1, "PX", probeLifetimeMs)
    .hset(`${prefix}probe:hash`, "probe", 1)
    .hgetall(`${prefix}probe:hash`)
    .pexpire(`${prefix}probe:hash`, probeLifetimeMs)
    .time()
    .eval("return 1", 0)
    .exec()
  for (const [error] of results ?? []) if (error !== null) throw error
  state.used = true
}

/**
 * Examines the server on each new connection, and each second while it is down; while it is up, the probe of readiness
 * does. A connection without answers is replaced, since its other end may be dead, and so is one to a server that has
 * become a replica, since its name may lead to the primary now.
 */
const watch = Effect.fnUntraced(function* (
  client: Client,
  state: State,
  examined: Effect.Effect<void, RedisError>,
  { found, lost }: { readonly found: () => void; readonly lost: (reason: string) => void }
) {
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  let unanswered = 0
  state.watching = true
  client.on("close", () => {
    state.admitted = false
    if (state.down === undefined) lost(state.lastError)
  })
  const check = Effect.match(examined, {
    onSuccess: () => {
      unanswered = 0
      found()
      return false
    },
    onFailure: ({ message }) => {
      // Otherwise the event `close` has the reason.
      if (client.status === "ready") lost(message)
      unanswered = message === noAnswer ? unanswered + 1 : 0
      return message.startsWith("READONLY") || (unanswered > 0 && unanswered % maxUnanswered === 0)
    }
  })
  client.on("ready", () => fork(check))
  yield* every(
    "1 second",
    "the health check of Redis",
    Effect.suspend(() =>
      state.down !== undefined && client.status === "ready"
        ? Effect.map(check, (replace) => {
            if (replace && client.status === "ready") client.disconnect(true)
          })
        : Effect.void
    )
  )
})

/**
 * Keeps track of whether the server of `client` can be used. `connect` connects, and watches the server until the scope
 * closes; it fails if the settings are wrong. `use` and `probe` fail at once while Redis is down, and `probe`, which is to
 * be called each second, finds out that it is. `onBack` is called each time that it is up again.
 */
export const makeRedisHealth = Effect.fnUntraced(function* (
  client: Client,
  settings: NonNullable<SettingsShape["redis"]>,
  prefix: string,
  onBack: () => void
) {
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const state: State = { down: undefined, lastError: wasClosed, used: false, admitted: false, watching: false }

  const lost = (reason: string) => {
    if (!state.watching) return
    if (state.down === undefined) fork(Effect.logDebug("Redis is lost", { reason }))
    state.down = new RedisError({ message: reason })
  }
  const toError = (cause: unknown) => {
    const message = messageOf(cause)
    if (message === timedOut) return new RedisError({ message: noAnswer })
    return new RedisError({ message: message === closed ? state.lastError : withoutScript(message) })
  }
  client.on("error", (error) => {
    state.lastError = toError(error).message
    // The reason is that of the latest attempt: a server that was frozen may have been stopped since.
    if (state.used && client.status !== "ready") lost(state.lastError)
  })
  client.on("ready", () => {
    state.lastError = wasClosed
  })
  const found = () => {
    if (state.down === undefined || !state.watching) return
    state.down = undefined
    fork(Effect.logDebug("Redis is back"))
    onBack()
  }
  const examined = Effect.tryPromise({ try: () => examine(client, state, settings, prefix), catch: toError })

  const connect = Effect.gen(function* () {
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        state.watching = false
      })
    )
    const first = yield* Effect.tryPromise({ try: () => client.connect(), catch: toError }).pipe(
      Effect.andThen(examined),
      Effect.result
    )
    if (Result.isFailure(first)) {
      const { message } = first.failure
      state.down = new RedisError({ message: refusal.test(message) ? message : explain(settings, message) })
      if (wrongSettings.test(message)) return yield* state.down
    }
    yield* watch(client, state, examined, { lost, found })
  })

  return {
    connect,
    use: <A>(f: (client: Client) => Promise<A>) =>
      Effect.suspend(() =>
        state.down === undefined
          ? Effect.tryPromise({
              try: () => f(client),
              catch: (cause) => {
                const message = messageOf(cause)
                const error = toError(cause)
                if (message === timedOut || refusal.test(message)) lost(error.message)
                return error
              }
            })
          : Effect.fail(state.down)
      ),
    probe: Effect.suspend(() =>
      state.down === undefined
        ? Effect.tapError(examined, ({ message }) => Effect.sync(() => lost(message)))
        : Effect.fail(state.down)
    )
  }
})
