import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { HttpRoutes } from "../../src/http/server/Server.ts"
import { Drain } from "../../src/services/platform/readiness/Drain.ts"
import { Readiness } from "../../src/services/platform/readiness/Readiness.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { databases } from "../support/Database.ts"
import { HttpService, httpService } from "../support/HttpService.ts"

const Watching = Readiness.layerNoDeps.pipe(Layer.provideMerge(Drain.layer))

/** A dependency whose probe the test controls. */
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

  it.effect("does not wait for a dependency that hangs, and notices when it is back", () =>
    Effect.gen(function* () {
      const readiness = yield* Readiness
      const postgres = makeDependency("postgres", true)
      // The probe cannot even be interrupted, like a query on a frozen server.
      const thaw = yield* Deferred.make<void>()
      postgres.behave(Effect.uninterruptible(Deferred.await(thaw)))
      const watching = yield* Effect.forkScoped(readiness.watch(postgres.dependency))
      yield* TestClock.adjust("1 second")
      yield* Effect.suspend(() => (watching.pollUnsafe() === undefined ? Effect.die("still waiting") : Effect.void))
      const report = yield* readiness.report
      assert.strictEqual(report.status, "unavailable")
      assert.strictEqual(report.dependencies.postgres?.detail, "no answer within 1 second")

      // A dead connection does not delay the probe on a live one.
      postgres.behave(Effect.void)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* readiness.report).status, "ready")
      yield* Deferred.succeed(thaw, undefined)
    }).pipe(Effect.provide(Watching))
  )

  it.effect("tolerates two failed probes of a required dependency, and one slow one", () =>
    Effect.gen(function* () {
      const readiness = yield* Readiness
      const postgres = makeDependency("postgres", true)
      const asked: Array<string> = []
      yield* readiness.watch(postgres.dependency)
      const status = Effect.map(readiness.report, (report) => report.status)
      const refuseOnce = Effect.suspend(() => {
        asked.push("once")
        return refuse
      })
      const ends = Effect.suspend(() => {
        postgres.behave(Effect.void)
        return refuseOnce
      })
      postgres.behave(
        Effect.suspend(() => {
          postgres.behave(ends)
          return refuseOnce
        })
      )
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(asked, ["once", "once"])
      assert.strictEqual(yield* status, "ready")

      postgres.behave(
        Effect.suspend(() => {
          postgres.behave(Effect.void)
          return Effect.sleep("1500 millis")
        })
      )
      for (let step = 0; step < 30; step++) {
        yield* TestClock.adjust("100 millis")
        assert.strictEqual(yield* status, "ready")
      }

      postgres.behave(refuse)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* status, "unavailable")
    }).pipe(Effect.provide(Watching))
  )

  it.effect("gives up a probe that is never answered", () =>
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

  it.live("over HTTP: /health is always 200, and /ready says what is down", () => {
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
      }).pipe(
        Effect.provide(Readiness.layer.pipe(Layer.provide([Drain.layer, SettingsMemory.layerMemory(), database.layer])))
      )
    )
  })
}
