import { assert, describe, it } from "@effect/vitest"
import { Effect, Tracer } from "effect"
import { makeTracing, sampledSpan, spanned } from "../../src/services/platform/Tracing.ts"

const parent = (sampled: boolean) => `00-${"1".repeat(32)}-${"2".repeat(16)}-${sampled ? "01" : "00"}`

/** Tracing that counts the spans that are made, and the times that their attributes are made. */
const counting = Effect.fnUntraced(function* (sampleRate: number) {
  const counts = { spans: 0, starts: 0 }
  const tracer = Tracer.make({
    span: (options) => {
      counts.spans++
      return new Tracer.NativeSpan({ ...options, sampled: true })
    }
  })
  const tracing = makeTracing(tracer, sampleRate, yield* Effect.clockWith(Effect.succeed))
  const start = () => {
    counts.starts++
    return { name: "send", kind: "server" as const, attributes: { "rpc.method": "send" } }
  }
  return { counts, start, tracing }
})

describe("a trace", () => {
  it.effect("that is not sampled has no span and no attributes, of the caller's or of ours", () =>
    Effect.gen(function* () {
      const { counts, start, tracing } = yield* counting(0)
      const message = Effect.gen(function* () {
        const span = yield* Effect.withFiber((fiber) => Effect.succeed(sampledSpan(fiber))).pipe(spanned("append"))
        yield* tracing.batch(Effect.void, [span, undefined], start)
        tracing.step(undefined, start, () => {})
        tracing.step(parent(false), start, () => {})
      })
      for (const traceparent of [undefined, parent(false)]) yield* tracing.incoming(message, traceparent, start)
      assert.deepStrictEqual(counts, { spans: 0, starts: 0 })
      yield* tracing.incoming(message, parent(true), start)
      assert.deepStrictEqual(counts, { spans: 3, starts: 2 })
    })
  )

  it.effect("that is sampled takes no stack traces", () =>
    Effect.gen(function* () {
      const { counts, start, tracing } = yield* counting(1)
      const limit = Error.stackTraceLimit
      let changes = 0
      Object.defineProperty(Error, "stackTraceLimit", {
        configurable: true,
        get: () => limit,
        set: () => changes++
      })
      yield* tracing
        .incoming(tracing.batch(Effect.void, [undefined], start).pipe(spanned("append")), undefined, start)
        .pipe(
          Effect.ensuring(
            Effect.sync(() =>
              Object.defineProperty(Error, "stackTraceLimit", { configurable: true, writable: true, value: limit })
            )
          )
        )
      assert.deepStrictEqual({ changes, ...counts }, { changes: 0, spans: 2, starts: 1 })
    })
  )
})
