import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Logger } from "effect"
import { TestClock } from "effect/testing"
import { makePaced, pacedDelay } from "../../src/services/platform/Background.ts"

/** Starts paced work, each of whose steps takes so many milliseconds, or fails, as the list says; the last one is the end. */
const start = (steps: ReadonlyArray<number | "fails">) =>
  Effect.gen(function* () {
    const began: Array<number> = []
    const left = [...steps]
    const step = Effect.gen(function* () {
      began.push(yield* Clock.currentTimeMillis)
      const takes = left.shift() ?? 0
      if (takes === "fails") return yield* Effect.die("broken")
      yield* Effect.sleep(takes)
      return left.length > 0
    })
    return { began, call: yield* makePaced("the work", step) }
  })

describe("work that can wait", () => {
  it.effect("is not begun before it is called for, and then once for all calls of five seconds", () =>
    Effect.gen(function* () {
      const { began, call } = yield* start([])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(began, [])
      const called = yield* Clock.currentTimeMillis
      for (let second = 0; second < 5; second++) {
        call()
        yield* TestClock.adjust("1 second")
      }
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(began, [called + pacedDelay])
      call()
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(began, 2)
    })
  )

  it.effect("rests after each step four times as long as the step took, and at most ten seconds", () =>
    Effect.gen(function* () {
      const { began, call } = yield* start([20, 20, 100, 9000, 1, 20])
      call()
      yield* TestClock.adjust(pacedDelay - 1)
      assert.deepStrictEqual(began, [])
      // Calls meanwhile do not make it faster.
      for (let ms = 0; ms < 30_000; ms += 10) {
        yield* TestClock.adjust(10)
        if (began.length < 5) call()
      }
      const gaps = began.slice(1).map((at, n) => at - (began[n] ?? 0))
      assert.deepStrictEqual(gaps, [5 * 20, 5 * 20, 5 * 100, 9000 + 10_000, 5])
    })
  )

  it.effect("is tried again after a fault, which is one line in the log", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const collected = Logger.layer([
        Logger.make(({ message }) => {
          lines.push(String(Array.isArray(message) ? message[0] : message))
        })
      ])
      const { began, call } = yield* Effect.provide(start(["fails", "fails", 20, 20]), collected)
      call()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(began, [1, 2, 3].map((n) => n * pacedDelay).concat(3 * pacedDelay + 5 * 20))
      assert.deepStrictEqual(lines, ["the work failed", "the work failed"])
    })
  )
})
