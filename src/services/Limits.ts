import { Context, Duration, Effect, Layer } from "effect"
import { RateLimiter } from "effect/persistence"
import { RateLimited } from "../domain/Problem.ts"
import { limitHits } from "./MetricDefinitions.ts"
import { Metrics } from "./Metrics.ts"

/** What is left of a limit: how many of `limit`, and in how many milliseconds all of it is back. */
export interface Allowance {
  readonly limit: number
  readonly remaining: number
  readonly resetMs: number
}

/**
 * Forgets a counter once its window is over. The library's own store keeps every key for ever, so that whoever can
 * choose keys (a login, an address) could fill the memory.
 */
const store = Layer.effect(
  RateLimiter.RateLimiterStore,
  Effect.map(RateLimiter.RateLimiterStore, (store) => {
    const counters = new Map<string, { count: number; expiresAt: number }>()
    let sweepAt = 1024
    const sweep = (now: number) => {
      for (const [key, counter] of counters) if (counter.expiresAt <= now) counters.delete(key)
      sweepAt = Math.max(1024, counters.size * 2)
    }
    return RateLimiter.RateLimiterStore.of({
      ...store,
      fixedWindow: ({ key, limit, refillRate, tokens }) =>
        Effect.clockWith((clock) =>
          Effect.sync(() => {
            const now = clock.currentTimeMillisUnsafe()
            if (counters.size >= sweepAt) sweep(now)
            const found = counters.get(key)
            const counter = found !== undefined && found.expiresAt > now ? found : { count: 0, expiresAt: now }
            const count = counter.count + tokens
            if (limit !== undefined && count > limit) return [count, counter.expiresAt - now] as const
            const expiresAt = counter.expiresAt + Duration.toMillis(refillRate) * tokens
            counters.set(key, { count, expiresAt })
            return [count, expiresAt - now] as const
          })
        )
    })
  })
).pipe(Layer.provide(RateLimiter.layerStoreMemory))

/** How often something may happen. A key is used up by `limit` uses and all back after `window`. */
export class Limits extends Context.Service<
  Limits,
  {
    /** Uses it `times` over, or once. */
    readonly consume: (
      key: string,
      limit: number,
      window: Duration.Input,
      times?: number
    ) => Effect.Effect<void, RateLimited>
    /** The same, telling what is left. */
    readonly take: (key: string, limit: number, window: Duration.Input) => Effect.Effect<Allowance, RateLimited>
    /** Undoes a `consume`: what turned out to be free. */
    readonly giveBack: (key: string, limit: number, window: Duration.Input, times?: number) => Effect.Effect<void>
  }
>()("chat/services/Limits") {
  static readonly layerNoDeps = Layer.effect(
    Limits,
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      const metrics = yield* Metrics

      /** Keys begin with what is limited, and then name whom. */
      const refused = (key: string, retryAfter: Duration.Duration) => {
        metrics.counter(limitHits, { limit: /^[a-z-]+(?=:)/.exec(key)?.[0] ?? "other" })()
        return new RateLimited({ retryAfterMs: Math.max(1, Math.ceil(Duration.toMillis(retryAfter))) })
      }

      const use = (key: string, limit: number, window: Duration.Input, tokens: number) =>
        limiter
          .consume({ key, limit, window, tokens })
          .pipe(
            Effect.catch(({ reason }) =>
              reason._tag === "RateLimitExceeded" ? Effect.fail(refused(key, reason.retryAfter)) : Effect.die(reason)
            )
          )

      return Limits.of({
        consume: (key, limit, window, times = 1) => Effect.asVoid(use(key, limit, window, times)),
        take: (key, limit, window) =>
          Effect.map(use(key, limit, window, 1), ({ remaining, resetAfter }) => ({
            limit,
            remaining,
            resetMs: Math.ceil(Duration.toMillis(resetAfter))
          })),
        giveBack: (key, limit, window, times = 1) => Effect.asVoid(Effect.orDie(use(key, limit, window, -times)))
      })
    })
  )

  /** Where a limiter that counts in this process keeps its counters. */
  static readonly layerStore = store

  /** Counts in this process. */
  static readonly layer = this.layerNoDeps.pipe(Layer.provide(RateLimiter.layer), Layer.provide(store))
}

/** What counts as one address: an IPv4 address, or the /64 network of an IPv6 one, which is what a household gets. */
export const addressKey = (ip: string): string => {
  const plain = ip.replace(/^::ffff:(?=\d+\.)/i, "")
  if (!plain.includes(":")) return plain
  const [head = "", tail] = plain.toLowerCase().split("::")
  const before = head === "" ? [] : head.split(":")
  const after = tail === undefined || tail === "" ? [] : tail.split(":")
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length)
  const groups = [...before, ...Array.from({ length: zeros }, () => "0"), ...after]
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`
}
