import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Clock, Effect, type Layer, Schedule } from "effect"
import { Limits } from "../../src/services/Limits.ts"

let number = 0
const key = () => `key-${process.pid}-${number++}`

/** What every Layer of Limits keeps. In real time: a server has a clock of its own. */
export const limitsContract = <E>(layer: Layer.Layer<Limits, E>) => {
  withLayer(layer, { excludeTestServices: true })("Limits", (it) => {
    it.effect("tells what is left, and refuses beyond it", () =>
      Effect.gen(function* () {
        const limits = yield* Limits
        const take = limits.take(key(), 3, "30 seconds")
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
          assert.isAtMost(resetMs, (uses + 1) * 10_000)
          assert.isAbove(resetMs, (uses + 1) * 10_000 - 2000)
        }
        const refused = yield* Effect.flip(take)
        assert.isAtMost(refused.retryAfterMs, 30_000)
        assert.isAbove(refused.retryAfterMs, 28_000)
        assert.strictEqual((yield* limits.take(key(), 3, "30 seconds")).remaining, 2)
      })
    )

    it.effect("gives all of it back when it said so, and not before", () =>
      Effect.gen(function* () {
        const limits = yield* Limits
        const name = key()
        const take = limits.take(name, 2, "300 millis")
        yield* take
        yield* take
        const { retryAfterMs } = yield* Effect.flip(take)
        const since = yield* Clock.currentTimeMillis
        const { remaining } = yield* Effect.retry(take, Schedule.spaced("5 millis"))
        assert.strictEqual(remaining, 1)
        assert.isAtLeast((yield* Clock.currentTimeMillis) - since, retryAfterMs - 20)
      })
    )

    it.effect("gives one use back, but never lends more", () =>
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

    it.effect("lets no more through when many ask at once", () =>
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

    it.effect("takes any key", () =>
      Effect.gen(function* () {
        const limits = yield* Limits
        for (const odd of ["", "é\u0000\r\n*{}", "x".repeat(100_000), `${"x".repeat(100_000)}y`]) {
          assert.strictEqual((yield* limits.take(`${key()}${odd}`, 2, "1 minute")).remaining, 1)
        }
      })
    )
  })
}
