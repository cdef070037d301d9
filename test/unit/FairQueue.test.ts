import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { FairQueue } from "../../src/services/platform/load/FairQueue.ts"

describe("a fair queue", () => {
  it.effect("does work out of its turn that has waited for long enough, and then the rest in turn", () =>
    Effect.gen(function* () {
      const many = Number.MAX_SAFE_INTEGER
      const queue = new FairQueue({ atATime: many, atATimePerKey: 1, waiting: many, waitingPerKey: many, detail: "" })
      const stuck = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(queue.patient("ann", Deferred.await(stuck)), { startImmediately: true })
      assert.strictEqual(yield* queue.patient("ann", Effect.succeed("out of turn"), 1), "out of turn")
      const third = yield* Effect.forkChild(queue.patient("ann", Effect.succeed("in turn")), { startImmediately: true })
      assert.isUndefined(third.pollUnsafe())
      yield* Deferred.succeed(stuck, undefined)
      yield* Fiber.join(first)
      assert.strictEqual(yield* Fiber.join(third), "in turn")
      assert.strictEqual(yield* queue.patient("ann", Effect.succeed("at once")), "at once")
    })
  )

  it.effect("keeps a key busy for the rest after its work, and others wait for the work only", () =>
    Effect.gen(function* () {
      const queue = new FairQueue({ atATime: 1, atATimePerKey: 1, detail: "" })
      const turn = (key: string, work: Effect.Effect<string>, restMs = 0) =>
        Effect.forkChild(
          queue.run(key, work, () => restMs),
          { startImmediately: true }
        )
      const done = yield* Deferred.make<string>()
      const first = yield* turn("ann", Deferred.await(done), 300)
      const [second, other] = [
        yield* turn("ann", Effect.succeed("second")),
        yield* turn("bob", Effect.succeed("other"))
      ]
      yield* Deferred.succeed(done, "first")
      assert.strictEqual(yield* Fiber.join(first), "first", "its answer does not wait")
      assert.strictEqual(yield* Fiber.join(other), "other")
      assert.isUndefined(second.pollUnsafe())
      assert.strictEqual(yield* Fiber.join(second), "second")
    })
  )

  it.effect("does one piece of work of a key at a time while each rests", () =>
    Effect.gen(function* () {
      const queue = new FairQueue({ atATimePerKey: 2, detail: "" })
      const turn = Effect.fnUntraced(function* (restMs: number) {
        const [began, ends] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const work = Effect.andThen(Deferred.succeed(began, undefined), Deferred.await(ends))
        const fiber = yield* Effect.forkChild(
          queue.run("ann", work, () => restMs),
          { startImmediately: true }
        )
        return { began, end: Effect.andThen(Deferred.succeed(ends, undefined), Fiber.join(fiber)) }
      })
      const rests = Effect.callback<void>((resume) => void setTimeout(() => resume(Effect.void), 20))
      const [a, b, c, d, e] = [yield* turn(10), yield* turn(10), yield* turn(10), yield* turn(0), yield* turn(0)]
      assert.isTrue(Deferred.isDoneUnsafe(b.began), "two at first")
      yield* a.end
      yield* rests
      assert.isFalse(Deferred.isDoneUnsafe(c.began), "while another one is at work")
      yield* b.end
      yield* Deferred.await(c.began)
      assert.isFalse(Deferred.isDoneUnsafe(d.began), "with the next one")
      yield* c.end
      yield* Deferred.await(d.began)
      yield* d.end
      yield* Deferred.await(e.began)
      yield* e.end
    })
  )

  it.effect("is left once: what is left after its turn takes nothing from later work of its key", () =>
    Effect.gen(function* () {
      const queue = new FairQueue({ atATimePerKey: 1, detail: "" })
      const turn = (work: Effect.Effect<void>) =>
        Effect.forkChild(queue.patient("ann", work), { startImmediately: true })
      queue.begin("ann", () => {})
      const begun = yield* Deferred.make<void>()
      const leave = queue.begin("ann", () => Deferred.doneUnsafe(begun, Effect.void))
      yield* Deferred.await(begun)
      // The turn that has begun is over after the callbacks of this turn of the event loop.
      yield* Effect.callback<void>((resume) => {
        setImmediate(() => resume(Effect.void))
      })
      const running = yield* turn(Effect.never)
      leave?.()
      const waiting = yield* turn(Effect.void)
      assert.isUndefined(waiting.pollUnsafe())
      yield* Fiber.interrupt(running)
      yield* Fiber.join(waiting)
    })
  )
})
