import { assert, layer, vi } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { UserId } from "../../src/domain/Ids.ts"
import { HeavyReads } from "../../src/services/platform/load/HeavyReads.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"

const user = (n: number) => UserId.make(`0198a7a0-0000-7000-8000-00000000000${n}`)

const outcome = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onFailure: ({ _tag }) => _tag, onSuccess: () => "ok" })

const nothing = () => 0

/** Starts a read that lasts until `finish`. */
const start = Effect.fnUntraced(function* (who: UserId, kind: "read" | "search" | "inTime" = "read") {
  const reads = yield* HeavyReads
  const done = yield* Deferred.make<void>()
  let begun = false
  const work = Effect.andThen(
    Effect.sync(() => {
      begun = true
    }),
    Deferred.await(done)
  )
  const fiber = yield* Effect.forkChild(outcome(reads[kind](who, work, nothing)), { startImmediately: true })
  const finish = Effect.andThen(Deferred.succeed(done, undefined), Fiber.join(fiber))
  return { begun: () => begun, finish, fiber }
})

const settings = SettingsMemory.layerMemory({ limits: { readBytesPerSecond: 100, readBytesBurst: 1000 } })

layer(HeavyReads.layer.pipe(Layer.provide(settings)))("heavy reads", (it) => {
  it.effect(
    "run two at a time for a user and six in total, and nobody waits for more than one of each other user",
    () =>
      Effect.gen(function* () {
        const flood = yield* Effect.forEach(Array.from({ length: 60 }), () => start(user(1)))
        const others = yield* Effect.forEach([2, 2, 3, 3, 4], (n) => start(user(n)))
        const begun = (of: ReadonlyArray<{ begun: () => boolean }>) => of.filter(({ begun }) => begun()).length
        assert.deepStrictEqual([begun(flood), begun(others)], [2, 4])
        yield* flood[0]?.finish ?? assert.fail()
        assert.deepStrictEqual([begun(flood), begun(others)], [2, 5], "it was the turn of the fourth user")
        for (const { finish } of [...others, ...flood]) assert.strictEqual(yield* finish, "ok")
      })
  )

  it.effect("are refused for a user with many waiting reads, and not for others", () =>
    Effect.gen(function* () {
      const reads = yield* HeavyReads
      const flood = yield* Effect.forEach(Array.from({ length: 66 }), () => start(user(1)))
      assert.strictEqual(yield* outcome(reads.read(user(1), Effect.void, nothing)), "RateLimited")
      assert.strictEqual(yield* outcome(reads.read(user(2), Effect.void, nothing)), "ok")
      const hello = yield* start(user(1), "inTime")
      for (const { finish } of flood) yield* finish
      assert.strictEqual(yield* hello.finish, "ok", "who is brought up to date only waits")
    })
  )

  it.effect("give up their place when they are interrupted", () =>
    Effect.gen(function* () {
      const [first, ...waiting] = yield* Effect.forEach([1, 1, 1], (n) => start(user(n), "search"))
      for (const { fiber } of waiting) yield* Fiber.interrupt(fiber)
      const next = yield* start(user(1), "search")
      yield* first?.finish ?? assert.fail()
      assert.isTrue(next.begun())
      yield* next.finish
    })
  )

  it.effect("are done to their end and paid when they are interrupted after they have begun", () =>
    Effect.gen(function* () {
      const reads = yield* HeavyReads
      const done = yield* Deferred.make<void>()
      const read = yield* Effect.forkChild(
        reads.read(user(9), Deferred.await(done), () => 5000),
        { startImmediately: true }
      )
      const interrupted = yield* Effect.forkChild(Fiber.interrupt(read), { startImmediately: true })
      assert.isUndefined(interrupted.pollUnsafe())
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(interrupted)
      assert.strictEqual(yield* outcome(reads.read(user(9), Effect.void, nothing)), "RateLimited")
    })
  )

  it.effect("include downloads: eight at a time for a user, which are paid as they are read", () =>
    Effect.gen(function* () {
      const reads = yield* HeavyReads
      const content = Stream.make(new Uint8Array(4000), new Uint8Array(4000))
      const open = (who: UserId) => reads.download(who, Effect.succeed(content))
      const scopes = yield* Effect.forEach(Array.from({ length: 8 }), () => Scope.make())
      for (const scope of scopes) yield* Effect.asVoid(Scope.provide(open(user(7)), scope))
      const ninth = yield* Effect.forkChild(Effect.scoped(open(user(7))), { startImmediately: true })
      assert.strictEqual(yield* outcome(Effect.scoped(open(user(8)))), "ok")
      assert.isUndefined(ninth.pollUnsafe())
      yield* Scope.close(scopes[0] ?? assert.fail(), Exit.void)
      yield* Stream.runDrain(yield* Fiber.join(ninth))
      assert.strictEqual(yield* outcome(Effect.scoped(open(user(7)))), "RateLimited", "1,000 bytes are used up")
      for (const scope of scopes) yield* Scope.close(scope, Exit.void)
    })
  )

  it.effect("are paid by their bytes, whatever came of them at the same time", () =>
    Effect.gen(function* () {
      const reads = yield* HeavyReads
      const big = reads.read(user(5), Effect.void, () => 600)
      assert.strictEqual(yield* outcome(big), "ok")
      assert.strictEqual(yield* outcome(big), "ok", "what is left is enough to begin")
      const refused = yield* Effect.flip(big)
      assert.strictEqual(refused._tag === "RateLimited" ? refused.retryAfterMs : 0, 2010)
      assert.strictEqual(yield* outcome(reads.search(user(5), Effect.void, nothing)), "RateLimited")
      assert.strictEqual(yield* outcome(reads.read(user(6), Effect.void, nothing)), "ok")
      const hello = yield* start(user(5), "inTime")
      assert.isFalse(hello.begun())
      yield* TestClock.adjust(2010)
      assert.isTrue(hello.begun())
      yield* hello.finish
      assert.strictEqual(yield* outcome(big), "ok")
    })
  )
})

const generous = SettingsMemory.layerMemory({ limits: { readBytesPerSecond: 1e9, readBytesBurst: 1e9 } })

layer(HeavyReads.layer.pipe(Layer.provide(generous)))("big answers", (it) => {
  it.effect("let the next read of their user wait, longer by their size, and nobody else", () =>
    Effect.gen(function* () {
      yield* Effect.acquireRelease(
        Effect.sync(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })),
        () => Effect.sync(() => vi.useRealTimers())
      )
      const { inTime, read } = yield* HeavyReads
      /** For how many milliseconds the next read of a user waits after one with so many bytes. */
      const restAfter = Effect.fnUntraced(function* (answer: (who: UserId) => Effect.Effect<unknown, unknown>) {
        yield* answer(user(1))
        const next = yield* start(user(1))
        const other = yield* start(user(2))
        assert.isTrue(other.begun())
        yield* other.finish
        let waited = 0
        for (; !next.begun() && waited < 1000; waited++) {
          vi.advanceTimersByTime(1)
          yield* Effect.yieldNow
        }
        yield* next.finish
        return waited
      })
      const rests = (kind: (who: UserId, bytes: number) => Effect.Effect<unknown, unknown>) =>
        Effect.forEach([65_536, 65_536 + 10 * 4096, 65_536 + 1000 * 4096], (bytes) =>
          restAfter((who) => kind(who, bytes))
        )
      assert.deepStrictEqual(yield* rests((who, bytes) => read(who, Effect.void, () => bytes)), [0, 10, 500])
      assert.deepStrictEqual(yield* rests((who, bytes) => inTime(who, Effect.void, () => bytes, true)), [0, 10, 500])
      assert.deepStrictEqual(
        yield* rests((who, bytes) => inTime(who, Effect.void, () => bytes)),
        [0, 3, 3],
        "a connection may need many parts"
      )
    }).pipe(Effect.scoped)
  )
})
