import { hash } from "node:crypto"
import { Context, Duration, Effect, Layer } from "effect"
import { Redis as EffectRedis, RateLimiter } from "effect/persistence"
import { Limits } from "../services/Limits.ts"
import { Redis } from "./Redis.ts"

/** Commands of the library on our connection. Of the rest of its service the limiter has no use. */
const commands = Layer.effect(
  EffectRedis.Redis,
  Effect.gen(function* () {
    const redis = yield* Redis
    const notHere = Effect.fail(new EffectRedis.RedisError({ cause: new Error("one shared connection only") }))
    return yield* EffectRedis.make({
      send: <A>(command: string, ...args: ReadonlyArray<string>) =>
        redis
          // What a command answers is for its caller to know.
          .use((client): Promise<A> => client.call(command, [...args]).then((reply) => reply as A))
          .pipe(Effect.mapError((cause) => new EffectRedis.RedisError({ cause }))),
      subscribe: () => notHere,
      connect: notHere
    })
  })
)

/** Gives back no more than was taken: the library's script would lend what was never used. */
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

/** Keys hold what clients send: a long one is as good as its hash. */
const short = (key: string) => (key.length <= 128 ? key : hash("sha256", key))

/** Counts on Redis, for all nodes together; while Redis is away, in this process. Never not at all. */
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
        const key = short(options.key)
        const counted: Effect.Effect<readonly [count: number, ttl: number], unknown> =
          options.tokens < 0
            ? take(`${prefix}${key}`, -options.tokens, Duration.toMillis(options.refillRate))
            : shared.fixedWindow({ ...options, key })
        return Effect.catch(counted, () => own.fixedWindow({ ...options, key }))
      }
    })
  })
).pipe(Layer.provide(commands))

/** `Limits` shared by all nodes through Redis, and this node's own while Redis is away. */
export const layer = Limits.layerNoDeps.pipe(Layer.provide(RateLimiter.layer), Layer.provide(store))
