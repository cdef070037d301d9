import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { HttpRoutes } from "../../src/http/Server.ts"
import { Drain } from "../../src/services/Drain.ts"
import { Readiness } from "../../src/services/Readiness.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import { databases } from "../support/Database.ts"
import { HttpService, httpService } from "../support/HttpService.ts"

const Watching = Readiness.layerNoDeps.pipe(Layer.provideMerge(Drain.layer))

/** A dependency that does what it is told. */
const makeDependency = (name: string, required: boolean) => {
  let next: Effect.Effect<unknown, { readonly message: string }> = Effect.void
  return {
    behave: (effect: typeof next) => {
      next = effect
    },
    dependency: { name, required, probe: Effect.suspend(() => next), without: "it is missed" }
  }
}

const refuse = Effect.fail({ message: "connection refused" })

describe("readiness", () => {
  it.effect("follows its dependencies within two seconds", () =>
    Effect.gen(function* () {
      const readiness = yield* Readiness
      const postgres = makeDependency("postgres", true)
      const nats = makeDependency("nats", false)
      assert.strictEqual((yield* readiness.report).dependencies.nats?.status, "in-process")
      yield* readiness.watch(postgres.dependency)
      yield* readiness.watch(nats.dependency)
      const status = Effect.map(readiness.report, (report) => report.status)
      assert.strictEqual(yield* status, "ready")

      nats.behave(refuse)
      yield* TestClock.adjust("2 seconds")
      const degraded = yield* readiness.report
      assert.strictEqual(degraded.status, "degraded")
      assert.include(degraded.dependencies.nats, { status: "down", detail: "connection refused" })
      assert.strictEqual(degraded.dependencies.postgres?.since, "1970-01-01T00:00:00.000Z")

      postgres.behave(Effect.die(new Error("a bug")))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* status, "unavailable")

      postgres.behave(Effect.void)
      nats.behave(Effect.void)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* status, "ready")
      const drain = yield* Drain
      yield* drain.begin
      assert.strictEqual(yield* status, "draining")
    }).pipe(Effect.provide(Watching))
  )

  it.effect("does not wait for a dependency that hangs, and finds it again when it is back", () =>
    Effect.gen(function* () {
      const readiness = yield* Readiness
      const postgres = makeDependency("postgres", true)
      // As a query on a frozen server: it does not even let itself be interrupted.
      const thaw = yield* Deferred.make<void>()
      postgres.behave(Effect.uninterruptible(Deferred.await(thaw)))
      const watching = yield* Effect.forkScoped(readiness.watch(postgres.dependency))
      yield* TestClock.adjust("1 second")
      yield* Effect.suspend(() => (watching.pollUnsafe() === undefined ? Effect.die("still waiting") : Effect.void))
      const report = yield* readiness.report
      assert.strictEqual(report.status, "unavailable")
      assert.strictEqual(report.dependencies.postgres?.detail, "no answer within 1 second")

      // A connection that is dead does not stand in the way of one that is not.
      postgres.behave(Effect.void)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* readiness.report).status, "ready")
      yield* Deferred.succeed(thaw, undefined)
    }).pipe(Effect.provide(Watching))
  )

  it.effect("gives up a probe that nothing will ever answer", () =>
    Effect.gen(function* () {
      const readiness = yield* Readiness
      const gaveUp = yield* Deferred.make<void>()
      const postgres = makeDependency("postgres", true)
      postgres.behave(Effect.onInterrupt(Effect.never, () => Deferred.succeed(gaveUp, undefined)))
      yield* Effect.forkScoped(readiness.watch(postgres.dependency))
      yield* TestClock.adjust("11 seconds")
      yield* Deferred.await(gaveUp)
    }).pipe(Effect.provide(Watching))
  )

  it.live("over HTTP: health is always 200, ready tells what is missing", () => {
    const postgres = makeDependency("postgres", true)
    const App = httpService(HttpRoutes).pipe(Layer.provideMerge(fakeServices()))
    return Effect.gen(function* () {
      const { ask } = yield* HttpService
      const readiness = yield* Readiness
      yield* readiness.watch(postgres.dependency)
      const ready = yield* ask("/ready")
      assert.strictEqual(ready.status, 200)
      assert.strictEqual(ready.json.status, "ready")
      assert.deepStrictEqual(Object.keys(ready.json.dependencies ?? {}).sort(), ["nats", "postgres", "redis"])
      assert.include(ready.text, '"nats":{"status":"in-process"')

      postgres.behave(Effect.never)
      yield* ask("/ready").pipe(Effect.repeat({ until: ({ status }) => status === 503 }))
      assert.strictEqual((yield* ask("/ready")).json.status, "unavailable")
      assert.deepStrictEqual((yield* ask("/health")).json, { status: "ok" })

      const drain = yield* Drain
      yield* drain.begin
      const draining = yield* ask("/ready")
      assert.deepStrictEqual([draining.status, draining.json.status], [503, "draining"])
      assert.strictEqual((yield* ask("/health")).status, 200)
    }).pipe(Effect.provide(App), Effect.scoped)
  })
})

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    it.effect("is watched from the start", () =>
      Effect.gen(function* () {
        const readiness = yield* Readiness
        const { dependencies, status } = yield* readiness.report
        assert.strictEqual(status, "ready")
        assert.strictEqual(dependencies.postgres?.status, "up")
      }).pipe(Effect.provide(Readiness.layer.pipe(Layer.provide([Drain.layer, database.layer]))))
    )
  })
}
