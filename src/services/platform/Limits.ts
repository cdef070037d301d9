import { Context, Duration, Effect, Layer, Result } from "effect"
import { RateLimiter } from "effect/persistence"
import { RateLimited } from "../../domain/Problem.ts"
import { limitHits } from "./MetricDefinitions.ts"
import { Metrics } from "./Metrics.ts"
import { monotonicMillis } from "./Monotonic.ts"
import { makeSweep } from "./Sweep.ts"

/** What is left of a limit: `remaining` of `limit` tokens, and the milliseconds until all of them are back. */
interface Allowance {
  readonly limit: number
  readonly remaining: number
  readonly resetMs: number
}

/**
 * What is left of a limit, with its name, which is the same for everybody whom it limits, and its window. A limit of what
 * is open at the same time has no window.
 */
export interface NamedAllowance extends Allowance {
  readonly name: string
  readonly windowMs: number | undefined
}

/**
 * Collects what is left of each limit that the current request has counted on, for the headers of its answer. Undefined
 * outside requests.
 */
export const CurrentAllowances = Context.Reference<Map<string, NamedAllowance> | undefined>(
  "chat/services/CurrentAllowances",
  { defaultValue: () => undefined }
)

/** Notes what is left of a limit of what is open at the same time, for the answer to the current request to tell. */
export const noteOpen = (name: string, limit: number, remaining: number) =>
  Effect.withFiber<void>((fiber) => {
    fiber.getRef(CurrentAllowances)?.set(name, { name, limit, remaining, resetMs: openAgainMs, windowMs: undefined })
    return Effect.void
  })

/** When to try again to open something that is one too many: nobody knows when another one closes. */
const openAgainMs = 1000

/** Refuses to open another one, and notes that none is left. */
export const tooManyOpen = (name: string, limit: number) =>
  Effect.andThen(
    noteOpen(name, limit, 0),
    new RateLimited({ retryAfterMs: openAgainMs, detail: `Too many ${name} are open` })
  )

/** Forgets a counter once its window is over. The library's own store never forgets a key. */
const store = Layer.effect(
  RateLimiter.RateLimiterStore,
  Effect.map(RateLimiter.RateLimiterStore, (store) => {
    const counters = new Map<string, { count: number; expiresAt: number }>()
    const sweep = makeSweep(counters, ({ expiresAt }, now) => expiresAt <= now)
    return RateLimiter.RateLimiterStore.of({
      ...store,
      fixedWindow: ({ key, limit, refillRate, tokens }) =>
        Effect.clockWith((clock) =>
          Effect.sync(() => {
            const now = monotonicMillis(clock)
            sweep(now)
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

/** The detail of a refusal whose caller has none of its own. */
const tooMany = "This was done too often: try again later"

const together = { concurrency: "unbounded" } as const

/** A counter of `Limits`. Its key begins with the name of the limit and a colon, and then names who is limited. */
export type Counter = readonly [key: string, limit: number, window: Duration.Input]

/** Tokens to consume from a counter. */
interface Use {
  readonly counter: Counter
  readonly times: number
}

/** Tokens to consume before a change, and how many of them its result has `used`. */
interface UseFor<in A> extends Use {
  readonly used: (result: A) => number
}

/**
 * Limits how often something may happen. Each key has `limit` tokens, all of which are available again after `window`.
 */
export class Limits extends Context.Service<
  Limits,
  {
    /** Consumes `times` tokens (default 1). `RateLimited` says when to try again, and consumes nothing. */
    readonly consume: (
      key: string,
      limit: number,
      window: Duration.Input,
      times?: number
    ) => Effect.Effect<void, RateLimited>
    /** Consumes one token and returns what is left. */
    readonly take: (key: string, limit: number, window: Duration.Input) => Effect.Effect<Allowance, RateLimited>
    /** Gives back `times` tokens (default 1) that a `consume` took for something that turned out to be free. */
    readonly giveBack: (key: string, limit: number, window: Duration.Input, times?: number) => Effect.Effect<void>
    /** Consumes the tokens of all uses, or none when a counter refuses: the refusal has the longest wait and `detail`. */
    readonly consumeAll: (uses: ReadonlyArray<Use>, detail?: string) => Effect.Effect<void, RateLimited>
    /**
     * Consumes the tokens of all uses, as `consumeAll` does, before a change is made, so that many at once cannot slip
     * through together. Gives back those that the change did not use, and all of them when it fails.
     */
    readonly counted: <A, E, R>(
      uses: ReadonlyArray<UseFor<A>>,
      change: Effect.Effect<A, E, R>,
      detail?: string
    ) => Effect.Effect<A, E | RateLimited, R>
  }
>()("chat/services/Limits") {
  /** Counts with any `RateLimiter`. */
  static readonly layerNoDeps = Layer.effect(
    Limits,
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      const metrics = yield* Metrics

      /** See `Counter`. */
      const nameOf = (key: string) => /^[a-z-]+(?=:)/.exec(key)?.[0] ?? "other"

      const use = (key: string, limit: number, window: Duration.Input, tokens: number, detail = tooMany) =>
        Effect.withFiber<Allowance, RateLimited>((fiber) => {
          const name = nameOf(key)
          const noted = fiber.getRef(CurrentAllowances)
          const windowMs = Duration.toMillis(window)
          const allowance = (remaining: number, reset: Duration.Duration): Allowance => {
            const left = { limit, remaining, resetMs: Math.ceil(Duration.toMillis(reset)) }
            noted?.set(name, { ...left, name, windowMs })
            return left
          }
          return limiter.consume({ key, limit, window, tokens }).pipe(
            Effect.matchEffect({
              onFailure: ({ reason }) => {
                if (reason._tag !== "RateLimitExceeded") return Effect.die(reason)
                metrics.counter(limitHits, { limit: name })()
                const { resetMs } = allowance(0, reason.retryAfter)
                return Effect.fail(new RateLimited({ retryAfterMs: Math.max(1, resetMs), detail }))
              },
              onSuccess: ({ remaining, resetAfter }) => Effect.succeed(allowance(remaining, resetAfter))
            })
          )
        })

      const giveBack = (key: string, limit: number, window: Duration.Input, times = 1) =>
        times > 0 ? Effect.asVoid(Effect.orDie(use(key, limit, window, -times))) : Effect.void

      const consumeAll: Limits["Service"]["consumeAll"] = Effect.fnUntraced(function* (uses, detail) {
        const wanted = uses.filter(({ times }) => times > 0)
        const results = yield* Effect.forEach(
          wanted,
          ({ counter, times }) => Effect.result(use(...counter, times, detail)),
          together
        )
        const [refusal] = results
          .flatMap((result) => (Result.isFailure(result) ? [result.failure] : []))
          .toSorted((a, b) => b.retryAfterMs - a.retryAfterMs)
        if (refusal === undefined) return
        const taken = wanted.filter((_, index) => results[index]?._tag === "Success")
        yield* Effect.forEach(taken, ({ counter, times }) => giveBack(...counter, times), together)
        return yield* refusal
      })

      return Limits.of({
        consume: (key, limit, window, times = 1) => Effect.asVoid(use(key, limit, window, times)),
        take: (key, limit, window) => use(key, limit, window, 1),
        giveBack,
        consumeAll,
        counted: (uses, change, detail) =>
          Effect.uninterruptibleMask((restore) => {
            const giveAllBack = (free: (use: (typeof uses)[number]) => number) =>
              Effect.forEach(uses, (use) => giveBack(...use.counter, free(use)), together)
            return Effect.andThen(
              consumeAll(uses, detail),
              restore(change).pipe(
                Effect.onError(() => giveAllBack(({ times }) => times)),
                Effect.tap((result) => giveAllBack(({ times, used }) => times - used(result)))
              )
            )
          })
      })
    })
  )

  /** Where a limiter that counts in this process keeps its counters: memory that forgets what is over. */
  static readonly layerStore = store

  /** Counts in this process. */
  static readonly layer = this.layerNoDeps.pipe(Layer.provide(RateLimiter.layer), Layer.provide(store))
}
