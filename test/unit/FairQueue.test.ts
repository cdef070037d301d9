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
})
