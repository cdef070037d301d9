import { Cause, Context, Effect, Layer, Random, type Scope } from "effect"
import type { Redis as Client } from "ioredis"
import { makeListeners } from "../../services/platform/Listeners.ts"
import { redisKeysDeleted } from "../../services/platform/MetricDefinitions.ts"
import { Metrics } from "../../services/platform/Metrics.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { makeThrottledLog } from "../../services/platform/ThrottledLog.ts"
import { readTlsFiles } from "../settings/TlsFiles.ts"
import { makeClient, RedisError, reconnectMs } from "./RedisClient.ts"
import { makeRedisHealth } from "./RedisHealth.ts"

const make = Effect.fnUntraced(function* (prefix: string) {
  const settings = (yield* Settings).redis
  if (settings === undefined) return yield* new RedisError({ message: "the settings have no section redis" })
  const tls = yield* readTlsFiles("redis", settings)
  const random = yield* Random.Random
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const rarely = yield* makeThrottledLog
  const metrics = yield* Metrics
  const reconnected = makeListeners((defect) => fork(Effect.logError("a listener of Redis failed", Cause.die(defect))))
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => makeClient(settings, tls, () => random.nextDoubleUnsafe())),
    (client) => Effect.sync(() => client.disconnect())
  )
  const { connect, probe, use } = yield* makeRedisHealth(client, settings, prefix, reconnected.notify)
  yield* connect

  const onDeleted = rarely((kind: "limit" | "presence") =>
    Effect.logWarning("deleted a key in Redis that this service cannot have written", { kind })
  )
  return Redis.of({
    prefix,
    reconnectMs,
    use,
    probe,
    countDeleted: (kind, keys) => {
      metrics.counter(redisKeysDeleted, { kind })(keys)
      onDeleted(kind)
    },
    onReconnect: reconnected.add
  })
})

/**
 * One connection to Redis, for state that may be lost. No caller waits while Redis is down: after the first time-out, lost
 * connection or refused write each use fails at once, until Redis can be written to again.
 */
export class Redis extends Context.Service<
  Redis,
  {
    /** The prefix of every key of this service. */
    readonly prefix: string
    /** The longest time until a node notices that Redis is up again, in milliseconds. */
    readonly reconnectMs: number
    /** Runs commands. Fails if Redis is down, or if it replies with an error. */
    readonly use: <A>(f: (client: Client) => Promise<A>) => Effect.Effect<A, RedisError>
    /** Writes small keys that expire. Fails with the reason while Redis is down or refuses to be written to. */
    readonly probe: Effect.Effect<void, RedisError>
    /** Counts and logs keys that were deleted because this service has not written them so. */
    readonly countDeleted: (kind: "limit" | "presence", keys: number) => void
    /** Calls `listener` each time Redis is up again, possibly without its data, until the scope closes. */
    readonly onReconnect: (listener: () => void) => Effect.Effect<void, never, Scope.Scope>
  }
>()("chat/layers/Redis") {
  /**
   * Connects with the settings in `redis`. Fails with one line that names the settings to check if the server says that
   * they are wrong. If there is no server, or it refuses to be written to, Redis is down until there is a better one.
   */
  static readonly layerPrefix = (prefix: string) => Layer.effect(Redis, make(prefix))

  /** The production layer, with the key prefix `chat:`. */
  static readonly layer = this.layerPrefix("chat:")
}
