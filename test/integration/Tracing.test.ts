import { assert, describe, it } from "@effect/vitest"
import { type ExportResult, ExportResultCode } from "@opentelemetry/core"
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from "@opentelemetry/sdk-trace-base"
import { Cause, Effect, Layer, Logger, Random, Schedule } from "effect"
import { makeLogger } from "../../src/layers/telemetry/Logging.ts"
import { exporterFor, PatientExporter } from "../../src/layers/telemetry/TraceExporter.ts"
import * as Traces from "../../src/layers/telemetry/Tracing.ts"
import { Tracing } from "../../src/services/platform/Tracing.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { endpoints, startCollector } from "../support/Collector.ts"
import { patience } from "../support/TimeLimits.ts"

const caller = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7" }
const from = (flags: string) => `00-${caller.traceId}-${caller.spanId}-${flags}`

const request = () => ({ name: "request", kind: "server" as const, attributes: { "http.request.method": "GET" } })

/** Work inside the span of a request. */
const handled = <E>(work: Effect.Effect<unknown, E>, traceparent?: string) =>
  Effect.flatMap(Tracing, (tracing) => tracing.incoming(Effect.withSpan(work, "work"), traceparent, request)).pipe(
    Effect.exit
  )

/** Runs the effect with the tracing of the service; all spans have been sent when it returns. */
const traced = <A, E>(effect: Effect.Effect<A, E>, endpoint: string, sampleRate: number) => {
  const lines: Array<string> = []
  return effect.pipe(
    Effect.provide(
      Traces.layer("1.2.3").pipe(
        Layer.provide(
          SettingsMemory.layerMemory({ tracing: { enabled: true, endpoint, sampleRate, serviceName: "chat-test" } })
        ),
        Layer.provideMerge(Logger.layer([makeLogger("json", (line) => lines.push(line))]))
      )
    ),
    Effect.as(lines)
  )
}

const protocols = ["jaeger", "otlp"] as const
const isProtocol = (text: string): text is (typeof protocols)[number] => text in endpoints

describe("traces", () => {
  for (const protocol of Object.keys(endpoints).filter(isProtocol)) {
    it.live(`arrive as ${protocol}, with types of errors and without their words`, () =>
      Effect.gen(function* () {
        const collector = yield* startCollector
        const broken = Effect.die(new TypeError("planted-message"))
        yield* traced(handled(broken, from("01")), collector.endpoint(protocol), 0)
        assert.deepStrictEqual(collector.errors, [])
        const root = yield* collector.span(({ name }) => name === "request", "the request's span")
        const work = yield* collector.span(({ name }) => name === "work", "the work's span")
        assert.strictEqual(root.protocol, protocol)
        assert.strictEqual(root.service, "chat-test")
        assert.strictEqual(root.attributes["service.version"], "1.2.3")
        assert.deepStrictEqual([root.name, root.kind, root.parentId], ["request", "server", caller.spanId])
        assert.deepStrictEqual([work.kind, work.parentId], [undefined, root.spanId])
        assert.deepStrictEqual([root.traceId, work.traceId], [caller.traceId, caller.traceId])
        assert.deepStrictEqual([work.failed, work.attributes["error.type"], work.events], [true, "TypeError", 0])
        assert.notInclude(collector.text(), "planted-message")
      })
    )
  }

  it.live("are sampled as the caller says, and else by the rate", () =>
    Effect.gen(function* () {
      const collector = yield* startCollector
      const endpoint = collector.endpoint("otlp")
      const many = Effect.repeat(handled(Effect.void), { times: 499 }).pipe(Random.withSeed("a"))
      yield* traced(many, endpoint, 0.1)
      const roots = collector.spans.filter(({ name }) => name === "request")
      assert.isTrue(roots.length > 25 && roots.length < 75, String(roots.length))
      assert.strictEqual(collector.spans.length, roots.length * 2, "whole traces only")
      assert.strictEqual(new Set(roots.map(({ traceId }) => traceId)).size, roots.length)
      assert.isTrue(roots.every(({ parentId }) => parentId === undefined || parentId === ""))

      collector.spans.length = 0
      yield* traced(handled(Effect.void, from("00")), endpoint, 1)
      assert.lengthOf(collector.spans, 0)
      for (const wrong of ["", "00-x-y-01", `ff${from("01").slice(2)}`, `${from("01")}-more`, from("0g")]) {
        yield* traced(handled(Effect.void, wrong), endpoint, 0)
      }
      assert.lengthOf(collector.spans, 0, "what is no traceparent is ignored")
      yield* traced(handled(Effect.void, `01${from("01").slice(2)}-more`), endpoint, 0)
      assert.strictEqual(collector.spans[0]?.traceId, caller.traceId, "a later version may have more")
    })
  )

  it.live("that the collector refuses cost one line in the log", () =>
    Effect.gen(function* () {
      const collector = yield* startCollector
      collector.state.mode = "refusing"
      const twice = Effect.repeat(handled(Effect.void), { times: 1, schedule: Schedule.spaced("1300 millis") })
      const lines = yield* traced(twice, collector.endpoint("jaeger"), 1)
      assert.isAtLeast(collector.text().split("request").length, 3)
      assert.lengthOf(lines, 1)
      assert.match(lines[0] ?? "", /"level":"WARN","message":"traces are lost: .*HTTP 503/)
    })
  )

  it.live("that the collector never answers do not delay the stop of the service", () =>
    Effect.gen(function* () {
      const collector = yield* startCollector
      collector.state.mode = "hanging"
      // This is less time than the collector may take for a batch.
      yield* Effect.timeout(traced(handled(Effect.void), collector.endpoint("jaeger"), 1), "4 seconds")
      assert.isAbove(collector.text().length, 0)
    })
  )

  for (const protocol of Object.keys(endpoints).filter(isProtocol)) {
    it.live(`for a collector that hangs (${protocol}) hold no connection, and are sent again when it answers`, () =>
      Effect.gen(function* () {
        const collector = yield* startCollector
        const failures: Array<string> = []
        const exporter = new PatientExporter(
          () => exporterFor(collector.endpoint(protocol), 100),
          100,
          (reason) => failures.push(reason)
        )
        const provider = new BasicTracerProvider({
          spanProcessors: [new BatchSpanProcessor(exporter, { scheduledDelayMillis: 1 })]
        })
        const tracer = provider.getTracer("test")
        const until = (done: () => boolean) =>
          Effect.sync(done).pipe(
            Effect.repeat({ until: (is) => is, schedule: Schedule.spaced("10 millis") }),
            Effect.timeout(patience)
          )
        collector.state.mode = "hanging"
        for (let round = 1; round <= 3; round++) {
          tracer.startSpan("lost").end()
          yield* until(() => failures.length === round)
        }
        assert.match(failures[0] ?? "", /no answer within 100 ms/)
        yield* until(() => collector.state.connections === 0)
        collector.state.mode = "well"
        tracer.startSpan("found").end()
        yield* collector.span(({ name }) => name === "found", "span after the collector is well")
        assert.deepStrictEqual(
          collector.spans.map(({ name }) => name),
          ["found"]
        )
        yield* Effect.promise(() => provider.shutdown())
      })
    )
  }

  const broken: ReadonlyArray<readonly [string, () => Promise<SpanExporter>]> = [
    ["cannot be loaded", () => Promise.reject(new Error("broken"))],
    [
      "throws",
      async () => ({
        export: () => {
          throw new Error("broken")
        },
        shutdown: async () => {}
      })
    ]
  ]
  for (const [name, make] of broken) {
    it.live(`are lost at once, with the reason, when their exporter ${name}`, () =>
      Effect.gen(function* () {
        const failures: Array<string> = []
        const exporter = new PatientExporter(make, patience, (reason) => failures.push(reason))
        const result = yield* Effect.callback<ExportResult>((resume) =>
          exporter.export([], (result) => resume(Effect.succeed(result)))
        )
        assert.strictEqual(result.code, ExportResultCode.FAILED)
        assert.deepStrictEqual(failures, ["broken"])
      })
    )
  }

  it.live("of a defect keep their cause for the log", () =>
    Effect.gen(function* () {
      const collector = yield* startCollector
      const logged = Effect.logError("failed", Cause.die(new Error("the words")))
      const lines = yield* traced(handled(logged), collector.endpoint("otlp"), 1)
      const [work] = collector.spans
      assert.match(lines[0] ?? "", /the words/)
      assert.include(lines[0], `"traceId":"${work?.traceId}","spanId":"${work?.spanId}"`)
    })
  )
})
