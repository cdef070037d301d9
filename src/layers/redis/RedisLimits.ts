import { hash } from "node:crypto"
import { Context, Duration, Effect, Layer } from "effect"
import { Redis as EffectRedis, RateLimiter } from "effect/persistence"
import { Limits } from "../../services/platform/Limits.ts"
import { Redis } from "./Redis.ts"

/** Deletes a counter that this service cannot have written. The limit begins anew for it. */
const discard = (redis: Redis["Service"], key: string) =>
  Effect.map(
    redis.use((client) => client.del(key)),
    (deleted) => redis.countDeleted("limit", deleted)
  )

/** Effect's `Redis` service on our connection. The limiter only needs commands, so the rest of the service fails. */
const commands = Layer.effect(
  EffectRedis.Redis,
  Effect.gen(function* () {
    const redis = yield* Redis
    const unsupported = Effect.fail(
      new EffectRedis.RedisError({ cause: new Error("not supported: all commands share one connection") })
    )
    return yield* EffectRedis.make({
      send: <A>(command: string, ...args: ReadonlyArray<string>) => {
        // The caller of a command knows the type of its reply.
        const run = redis.use((client): Promise<A> => client.call(command, [...args]).then((reply) => reply as A))
        // Every command here is a script, whose arguments begin with its text or hash and the number of its keys.
        const [, , key = ""] = args
        return run.pipe(
          Effect.catchIf(
            ({ message }) => message.startsWith("WRONGTYPE"),
            () => Effect.andThen(discard(redis, key), run)
          ),
          Effect.mapError((cause) => new EffectRedis.RedisError({ cause }))
        )
      },
      subscribe: () => unsupported,
      connect: unsupported
    })
  })
)

/**
 * Returns tokens, but no more than were taken. The library's own script would also add tokens that were never taken, and
 * so raise the limit.
 */
const giveBack = EffectRedis.script((key: string, tokens: number, refillMs: number) => [key, tokens, refillMs], {
  numberOfKeys: 1,
  lua: `
local count = tonumber(redis.call("GET", KEYS[1]) or "0")
local back = math.min(tonumber(ARGV[1]), count)
if back <= 0 then return { count, 0 } end
local ttl = redis.call("PTTL", KEYS[1]) - math.floor(back * tonumber(ARGV[2]))
if ttl > 0 and count > back then
  redis.call("SET", KEYS[1], count - back, "PX", ttl)
else
  redis.call("DEL", KEYS[1])
end
return { count - back, math.max(ttl, 0) }
`
}).withReturnType<readonly [count: number, ttl: number]>()

const longestKey = 128

/** Keys contain text from clients, so a long key is replaced by its hash. */
const shortened = (key: string) => (key.length <= longestKey ? key : hash("sha256", key))

/** Counts on Redis for all nodes together. While Redis is down, each node counts for itself, so a limit always applies. */
const store = Layer.effect(
  RateLimiter.RateLimiterStore,
  Effect.gen(function* () {
    const redis = yield* Redis
    const own = Context.get(yield* Layer.build(Layer.fresh(Limits.layerStore)), RateLimiter.RateLimiterStore)
    const prefix = `${redis.prefix}limit:`
    const shared = yield* RateLimiter.makeStoreRedis({ prefix })
    const take = (yield* EffectRedis.Redis).eval(giveBack)
    return RateLimiter.RateLimiterStore.of({
      ...own,
      fixedWindow: (options) => {
        const key = shortened(options.key)
        const counted: Effect.Effect<readonly [count: number, ttl: number], unknown> =
          options.tokens < 0
            ? take(`${prefix}${key}`, -options.tokens, Duration.toMillis(options.refillRate))
            : // A counter that never expires would never allow anything again, and one below what was just taken, or that is
              // no number any more, would allow everything.
              Effect.filterOrElse(
                shared.fixedWindow({ ...options, key }),
                ([count, ttl]) => ttl !== -1 && count >= options.tokens,
                () => Effect.andThen(discard(redis, `${prefix}${key}`), shared.fixedWindow({ ...options, key }))
              )
        return Effect.catch(counted, () => own.fixedWindow({ ...options, key }))
      }
    })
  })
).pipe(Layer.provide(commands))

/** `Limits` that all nodes share through Redis. While Redis is down, each node applies them for itself. */
export const layer = Limits.layerNoDeps.pipe(Layer.provide(RateLimiter.layer), Layer.provide(store))
