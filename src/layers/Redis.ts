import { Context, Effect, Layer, Random, Redacted, Schema, type Scope } from "effect"
import { Redis as Client } from "ioredis"
import { every } from "../services/Background.ts"
import { Settings, type SettingsShape } from "../services/Settings.ts"

/**
 * Redis did not do it: it is away, too slow, or refused. The message is one line; the driver's error is left behind,
 * since it carries the arguments of the command.
 */
export class RedisError extends Schema.TaggedError<RedisError>()("RedisError", { message: Schema.String }) {}

/** How long a command may take, in milliseconds, before Redis counts as away. */
const patienceMs = 500

/** So many pings without an answer, one a second, and the connection is given up: it may be dead at the other end. */
const lastPing = 3

/** How long a Redis that is back may go unnoticed, in milliseconds: the longest pause between two attempts, each of which is refused at once. */
const reconnectMs = 1000

const messageOf = (cause: unknown) => (cause instanceof Error && cause.message !== "" ? cause.message : String(cause))

const explain = ({ database, host, port }: NonNullable<SettingsShape["redis"]>, cause: string) => {
  const at = `Redis at ${host}:${port}`
  if (/WRONGPASS|NOAUTH|NOPERM|invalid password/.test(cause)) {
    return `redis.password: ${at} does not let us in: ${cause}`
  }
  if (/DB index/i.test(cause)) return `redis.database: ${at} has no database ${database}: ${cause}`
  return `redis.host, redis.port: no ${at} (${cause}); start it, correct the two keys, or leave out the section "redis" to keep presence and limits in this process`
}

const make = Effect.fnUntraced(function* (prefix: string) {
  const settings = (yield* Settings).redis
  if (settings === undefined) return yield* new RedisError({ message: "redis: there is no such section" })
  const random = yield* Random.Random
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const listeners = new Set<() => void>()
  let away: RedisError | undefined
  let lastError = "the connection was closed"
  let watching = false

  const client = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new Client({
          host: settings.host,
          port: settings.port,
          ...(Redacted.value(settings.password) !== "" && { password: Redacted.value(settings.password) }),
          db: settings.database,
          connectionName: "chat-service",
          lazyConnect: true,
          enableOfflineQueue: false,
          autoResendUnfulfilledCommands: false,
          maxRetriesPerRequest: 1,
          commandTimeout: patienceMs,
          connectTimeout: 2000,
          disconnectTimeout: patienceMs,
          maxLoadingRetryTime: 500,
          keepAlive: 10_000,
          retryStrategy: (attempt) =>
            Math.min(50 * 2 ** Math.min(attempt, 6), reconnectMs) * (0.5 + random.nextDoubleUnsafe() / 2)
        })
    ),
    (client) =>
      Effect.sync(() => {
        watching = false
        client.disconnect()
      })
  )
  client.on("error", (error) => {
    lastError = messageOf(error)
  })

  const lost = (reason: string) => {
    if (away !== undefined || !watching) return
    away = new RedisError({ message: reason })
    fork(Effect.logDebug("the connection to Redis is lost", { reason }))
  }
  const found = () => {
    if (away === undefined || !watching) return
    away = undefined
    fork(Effect.logDebug("the connection to Redis is back"))
    for (const listener of listeners) listener()
  }

  yield* Effect.tryPromise({
    // The driver goes on with database 0 when it may not select another.
    try: () => client.connect().then(() => client.select(settings.database)),
    catch: (cause) => {
      const message = messageOf(cause)
      return new RedisError({ message: explain(settings, message === "Connection is closed." ? lastError : message) })
    }
  })
  watching = true
  client.on("close", () => lost(lastError))
  client.on("ready", found)

  const use = <A>(f: (client: Client) => Promise<A>) =>
    Effect.suspend(() =>
      away === undefined
        ? Effect.tryPromise({
            try: () => f(client),
            catch: (cause) => {
              const message = messageOf(cause)
              if (message === "Command timed out") lost(`no answer within ${patienceMs} ms`)
              return new RedisError({ message })
            }
          })
        : Effect.fail(away)
    )

  let unanswered = 0
  const check = Effect.tryPromise(() => client.ping()).pipe(
    Effect.match({
      onSuccess: () => {
        unanswered = 0
        found()
      },
      onFailure: () => {
        lost(`no answer within ${patienceMs} ms`)
        unanswered++
        if (unanswered % lastPing === 0) client.disconnect(true)
      }
    })
  )
  yield* every(
    "1 second",
    "the look at Redis",
    Effect.suspend(() => (client.status === "ready" ? check : Effect.void))
  )

  return Redis.of({
    prefix,
    reconnectMs,
    use,
    ping: Effect.asVoid(use((client) => client.ping())),
    onReconnect: (listener) =>
      Effect.asVoid(
        Effect.acquireRelease(
          Effect.sync(() => listeners.add(listener)),
          () => Effect.sync(() => listeners.delete(listener))
        )
      )
  })
})

/**
 * One connection to Redis, for what may vanish. Nothing ever waits for a Redis that is away: from the first time-out or
 * lost connection on each use fails at once, until Redis has answered again.
 */
export class Redis extends Context.Service<
  Redis,
  {
    /** What every key of ours begins with. */
    readonly prefix: string
    readonly reconnectMs: number
    /** Runs commands; a reply that is an error fails too. */
    readonly use: <A>(f: (client: Client) => Promise<A>) => Effect.Effect<A, RedisError>
    /** Fails with the reason while Redis is away. */
    readonly ping: Effect.Effect<void, RedisError>
    /** Calls `listener` each time Redis is back, perhaps with nothing of what it held, until the scope closes. */
    readonly onReconnect: (listener: () => void) => Effect.Effect<void, never, Scope.Scope>
  }
>()("chat/layers/Redis") {
  /** Connects as `settings.redis` says, or fails with the one line that names the keys to look at. */
  static readonly layerPrefix = (prefix: string) => Layer.effect(Redis, make(prefix))

  static readonly layer = this.layerPrefix("chat:")
}
