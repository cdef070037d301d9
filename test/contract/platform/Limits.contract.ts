import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Clock, Effect, type Layer, Schedule } from "effect"
import { Limits } from "../../../src/services/platform/Limits.ts"
import { patience } from "../../support/TimeLimits.ts"

let number = 0
const key = () => `key-${process.pid}-${number++}`

/** The contract of every Layer of Limits. It runs in real time, because a Redis server has a clock of its own. */
export const limitsContract = <E>(layer: Layer.Layer<Limits, E>) => {
  withLayer(layer, { excludeTestServices: true })("Limits", (it) => {
    it.effect("answers how many tokens are left, and refuses more", () =>
      Effect.gen(function* () {
        const limits = yield* Limits
        const take = limits.take(key(), 3, "30 minutes")
        const taken = yield* Effect.all([take, take, take])
        assert.deepStrictEqual(
          taken.map(({ limit, remaining }) => [limit, remaining]),
          [
            [3, 2],
            [3, 1],
            [3, 0]
          ]
        )
        for (const [uses, { resetMs }] of taken.entries()) {
          assert.isAtMost(resetMs, (uses + 1) * 600_000)
          assert.isAbove(resetMs, (uses + 1) * 600_000 - patience)
        }
        const refused = yield* Effect.flip(take)
        assert.isAtMost(refused.retryAfterMs, 1_800_000)
        assert.isAbove(refused.retryAfterMs, 1_800_000 - patience)
        assert.strictEqual((yield* limits.take(key(), 3, "30 minutes")).remaining, 2)
      })
    )

    it.effect("gives all tokens back at the announced time, and not before", () =>
      Effect.gen(function* () {
        const limits = yield* Limits
        const name = key()
        const take = limits.take(name, 2, "3 seconds")
        yield* take
        yield* take
        const { retryAfterMs } = yield* Effect.flip(take)
        const since = yield* Clock.currentTimeMillis
        const { remaining } = yield* Effect.retry(take, Schedule.spaced("5 millis"))
        assert.strictEqual(remaining, 1)
        assert.isAtLeast((yield* Clock.currentTimeMillis) - since, retryAfterMs - 20)
      })
    )

    it.effect("gives a token back, but never more than the limit", () =>
      Effect.gen(function* () {
        const limits = yield* Limits
        const name = key()
        const take = limits.take(name, 3, "30 seconds")
        const back = limits.giveBack(name, 3, "30 seconds")
        for (const _ of Arr.range(1, 5)) yield* back
        assert.strictEqual((yield* take).remaining, 2)
        yield* take
        yield* back
        const again = yield* take
        assert.strictEqual(again.remaining, 1)
        assert.isAtMost(again.resetMs, 20_000)
        yield* take
        yield* Effect.flip(take)
      })
    )

    it.effect("counts a change on several counters or on none, and gives back what it does not use", () =>
      Effect.gen(function* () {
        const limits = yield* Limits
        const [small, large] = [key(), key()].map((name) => `name:${name}`)
        const use = (name = "", limit: number, times: number) => ({
          ...{ counter: [name, limit, "30 minutes"] as const, times },
          used: (result: number) => result
        })
        const count = <E>(change: Effect.Effect<number, E>, times: number) =>
          limits.counted([use(small, 3, times), use(large, 9, times), use(key(), 1, 0)], change, "too often")
        const left = Effect.gen(function* () {
          const { remaining } = yield* limits.take(large ?? "", 9, "30 minutes")
          yield* limits.giveBack(large ?? "", 9, "30 minutes")
          return remaining + 1
        })
        assert.strictEqual(yield* count(Effect.succeed(1), 3), 1)
        assert.strictEqual(yield* left, 8)
        assert.strictEqual(yield* Effect.flip(count(Effect.fail("no"), 2)), "no")
        const interrupted = yield* Effect.exit(count(Effect.interrupt, 2))
        assert.strictEqual(interrupted._tag, "Failure")
        assert.strictEqual(yield* left, 8)
        let made = 0
        const refusal = yield* Effect.flip(
          count(
            Effect.sync(() => ++made),
            3
          )
        )
        assert.deepInclude(refusal, { _tag: "RateLimited", detail: "too often" })
        assert.strictEqual(made, 0)
        assert.strictEqual(yield* left, 8)
        assert.strictEqual(yield* count(Effect.succeed(2), 2), 2)
        assert.strictEqual(yield* left, 6)
      })
    )

    it.effect("holds the limit for concurrent callers", () =>
      Effect.gen(function* () {
        const limits = yield* Limits
        const name = key()
        const taken = yield* Effect.forEach(
          Arr.range(1, 50),
          () => Effect.match(limits.consume(name, 7, "1 minute"), { onFailure: () => 0, onSuccess: () => 1 }),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(
          taken.reduce<number>((sum, one) => sum + one, 0),
          7
        )
      })
    )

    it.effect("accepts any key", () =>
      Effect.gen(function* () {
        const limits = yield* Limits
        for (const odd of ["", "é\u0000\r\n*{}", "x".repeat(100_000), `${"x".repeat(100_000)}y`]) {
          assert.strictEqual((yield* limits.take(`${key()}${odd}`, 2, "1 minute")).remaining, 1)
        }
      })
    )
  })
}
