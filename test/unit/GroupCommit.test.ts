import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Deferred, Effect, Exit, Fiber, Queue, Scope } from "effect"
import { TestClock } from "effect/testing"
import { makeGroupCommit } from "../../src/services/platform/load/GroupCommit.ts"

/** A commit that the test controls: each batch waits until the test lets it through. */
const stage = Effect.fnUntraced(function* (
  options: {
    readonly capacity?: number
    readonly maxBatch?: number
    readonly startsBatch?: (batch: ReadonlyArray<number>, next: number) => boolean
  } = {}
) {
  const batches = yield* Queue.unbounded<{
    readonly inputs: ReadonlyArray<number>
    readonly finish: Deferred.Deferred<void>
  }>()
  const group = yield* makeGroupCommit<number, string, never>({
    queue: "messages",
    capacity: 100,
    maxBatch: 10,
    patienceMs: 10_000,
    ...options,
    commit: (batch) =>
      Effect.gen(function* () {
        const finish = yield* Deferred.make<void>()
        yield* Queue.offer(batches, { inputs: batch.map(({ input }) => input), finish })
        yield* Deferred.await(finish)
        for (const { answer, input } of batch) answer(Effect.succeed(`done ${input}`))
      })
  })
  const submit = (input: number) => Effect.forkChild(group.submit(input), { startImmediately: true })
  /** Lets the batch that is on its way commit, and returns what it held. */
  const finishBatch = Effect.gen(function* () {
    const { finish, inputs } = yield* Queue.take(batches)
    yield* Deferred.succeed(finish, undefined)
    return inputs
  })
  /** Submits an entry that is then being committed, alone. */
  const begin = (input: number) => Effect.tap(submit(input), () => Queue.peek(batches))
  return { ...group, begin, submit, finishBatch }
})

const tagOf = <A, E extends { readonly _tag: string }>(fiber: Fiber.Fiber<A, E>) =>
  Effect.match(Fiber.join(fiber), { onFailure: (error) => error._tag, onSuccess: () => "ok" })

describe("GroupCommit", () => {
  it.effect("commits what arrives together, and while busy what has gathered, in order", () =>
    Effect.gen(function* () {
      const { begin, finishBatch, size, submit } = yield* stage()
      const fibers = yield* Effect.forEach(Arr.range(1, 15), submit)
      assert.strictEqual(size(), 15)
      assert.deepStrictEqual(yield* finishBatch, Arr.range(1, 10), "at most maxBatch")
      assert.deepStrictEqual(yield* finishBatch, Arr.range(11, 15))
      assert.deepStrictEqual(
        yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber)),
        Arr.range(1, 15).map((n) => `done ${n}`)
      )
      assert.strictEqual(size(), 0)
      yield* begin(1)
      yield* Effect.forEach([2, 3], submit)
      assert.deepStrictEqual([yield* finishBatch, yield* finishBatch], [[1], [2, 3]])
      const next = yield* submit(16)
      assert.deepStrictEqual(yield* finishBatch, [16])
      assert.strictEqual(yield* Fiber.join(next), "done 16")
    })
  )

  it.effect("an entry that must not share a batch begins the next one", () =>
    Effect.gen(function* () {
      const { finishBatch, submit } = yield* stage({ startsBatch: (batch, next) => batch.includes(next) })
      yield* Effect.forEach([0, 1, 2, 2, 3, 2, 1], submit)
      const batches = yield* Effect.replicateEffect(finishBatch, 3)
      assert.deepStrictEqual(batches, [
        [0, 1, 2],
        [2, 3],
        [2, 1]
      ])
    })
  )

  it.effect("a full queue refuses at once", () =>
    Effect.gen(function* () {
      const { begin, finishBatch, submit } = yield* stage({ capacity: 3 })
      const accepted = [yield* begin(1), yield* submit(2), yield* submit(3)]
      assert.strictEqual(yield* tagOf(yield* submit(4)), "Unavailable")
      yield* finishBatch
      yield* Fiber.join(accepted[0] ?? (yield* submit(0)))
      const again = yield* submit(4)
      assert.strictEqual(yield* tagOf(yield* submit(5)), "Unavailable")
      assert.deepStrictEqual(yield* finishBatch, [2, 3])
      assert.deepStrictEqual(yield* finishBatch, [4])
      assert.deepStrictEqual(yield* Effect.forEach([...accepted, again], tagOf), Arr.replicate("ok", 4))
    })
  )

  it.effect("an entry that has waited too long is refused, and is not committed in its turn", () =>
    Effect.gen(function* () {
      const { begin, finishBatch, submit } = yield* stage()
      const stuck = yield* begin(1)
      const queued = yield* submit(2)
      yield* TestClock.adjust("5 seconds")
      const later = yield* submit(3)
      assert.isUndefined(stuck.pollUnsafe())
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual([yield* tagOf(stuck), yield* tagOf(queued)], ["Unavailable", "Unavailable"])
      assert.isUndefined(later.pollUnsafe())
      assert.deepStrictEqual(yield* finishBatch, [1])
      assert.deepStrictEqual(yield* finishBatch, [3])
      assert.strictEqual(yield* Fiber.join(later), "done 3")
      const next = yield* submit(4)
      assert.deepStrictEqual(yield* finishBatch, [4], "and it lives on")
      assert.strictEqual(yield* tagOf(next), "ok")
    })
  )

  it.effect("an interrupted caller does not undo its entry", () =>
    Effect.gen(function* () {
      const { begin, finishBatch, size, submit } = yield* stage()
      const [first, second, third] = yield* Effect.all([begin(1), submit(2), submit(3)])
      yield* Fiber.interrupt(first)
      yield* Fiber.interrupt(second)
      assert.deepStrictEqual(yield* finishBatch, [1])
      assert.deepStrictEqual(yield* finishBatch, [2, 3])
      assert.strictEqual(yield* Fiber.join(third), "done 3")
      assert.strictEqual(size(), 0)
    })
  )

  it.effect("a commit that dies fails its own batch alone", () =>
    Effect.gen(function* () {
      const { submit } = yield* makeGroupCommit<number, number, never>({
        queue: "messages",
        capacity: 10,
        maxBatch: 1,
        patienceMs: 1000,
        commit: (batch) =>
          Effect.sync(() => {
            for (const { answer, input } of batch) {
              if (input === 2) throw new RangeError("two")
              answer(Effect.succeed(input))
            }
          })
      })
      const exits = yield* Effect.forEach([1, 2, 3], (n) => Effect.exit(submit(n)), { concurrency: "unbounded" })
      assert.deepStrictEqual(
        exits.map((exit) => (Exit.isSuccess(exit) ? exit.value : Exit.hasDies(exit))),
        [1, true, 3]
      )
    })
  )

  it.effect("closing waits for what was submitted", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { begin, finishBatch, submit } = yield* stage().pipe(Scope.provide(scope))
      const fibers = [yield* begin(1), yield* submit(2)]
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.isUndefined(closing.pollUnsafe())
      assert.strictEqual(yield* tagOf(yield* submit(3)), "Unavailable")
      yield* finishBatch
      yield* finishBatch
      yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber))
      yield* TestClock.adjust("20 millis")
      yield* Fiber.join(closing)
    })
  )

  it.effect("closing waits no longer than the patience", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { submit } = yield* stage().pipe(Scope.provide(scope))
      const fiber = yield* submit(1)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("11 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual(yield* tagOf(fiber), "Unavailable")
    })
  )
})
