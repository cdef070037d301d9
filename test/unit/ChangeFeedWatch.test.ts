import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import * as PrometheusMetrics from "../../src/layers/telemetry/PrometheusMetrics.ts"
import { type ConsumerState, longestStandstill, makeChangeFeedWatch } from "../../src/services/log/ChangeFeedWatch.ts"
import { Metrics } from "../../src/services/platform/Metrics.ts"
import { Drain } from "../../src/services/platform/readiness/Drain.ts"
import { Readiness } from "../../src/services/platform/readiness/Readiness.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"

const lines: Array<string> = []
const collected = Logger.layer([
  Logger.make(({ logLevel, message }) => {
    lines.push(`${logLevel} ${String(Array.isArray(message) ? message[0] : message)}`)
  })
])

const Watching = Readiness.layerNoDeps.pipe(
  Layer.provideMerge(
    Layer.merge(Drain.layer, PrometheusMetrics.layer.pipe(Layer.provide(SettingsMemory.layerMemory())))
  ),
  Layer.provideMerge(collected)
)

const seconds = longestStandstill / 1000

describe("a watched consumer", () => {
  it.effect(
    "that stands still for 30 seconds shows in the metric, in /ready and in one line of the log, until it moves",
    () =>
      Effect.gen(function* () {
        const readiness = yield* Readiness
        const metrics = yield* Metrics
        const see = yield* makeChangeFeedWatch("search", "it is missed")
        const look = (state: ConsumerState, times = 1) =>
          Effect.replicateEffect(Effect.andThen(see(state), TestClock.adjust("1 second")), times)
        const status = Effect.map(readiness.report, (report) => report.status)
        const stalled = Effect.map(metrics.render("text"), (text) =>
          Number(/^chat_change_feed_stalled_seconds\{consumer="search"\} (\S+)/m.exec(text)?.[1])
        )

        // An idle consumer, and one that moves, may take any time.
        yield* look({ place: "1", waits: null }, 2 * seconds)
        for (let n = 0; n < 2 * seconds; n++) yield* look({ place: `2 ${n}`, waits: "ready" })
        assert.strictEqual(yield* status, "ready")
        assert.strictEqual(yield* stalled, 0)

        yield* look({ place: "3", waits: "held" }, seconds - 1)
        assert.strictEqual(yield* status, "ready")
        yield* look({ place: "3", waits: "held" }, 3)
        assert.strictEqual(yield* status, "degraded")
        assert.isAtLeast(yield* stalled, seconds)
        const { dependencies } = yield* readiness.report
        assert.include(dependencies["search-feed"], { status: "down" })
        assert.include(dependencies["search-feed"]?.detail, "a transaction of the cluster has been open")
        yield* look({ place: "3", waits: "held" }, seconds)
        yield* look({ place: "4", waits: "ready" }, 2)
        assert.strictEqual(yield* status, "ready")
        assert.deepStrictEqual(
          lines.filter((line) => line.includes("search-feed")),
          ["Info search-feed is up", "Warn search-feed is down: it is missed", "Info search-feed is up"]
        )

        // While the database does not answer, nobody knows.
        yield* TestClock.adjust(2 * longestStandstill)
        yield* look({ place: "4", waits: "ready" }, 2)
        assert.strictEqual(yield* status, "ready")
      }).pipe(Effect.provide(Watching))
  )
})
