import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import * as OtelTracer from "@effect/opentelemetry/OtelTracer"
import { resourceFromAttributes } from "@opentelemetry/resources"
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Clock, Effect, Layer } from "effect"
import { Settings, type SettingsShape } from "../../services/platform/Settings.ts"
import { makeThrottledLog } from "../../services/platform/ThrottledLog.ts"
import { makeTracing, Tracing } from "../../services/platform/Tracing.ts"
import { exporterFor, PatientExporter } from "./TraceExporter.ts"

/** How long a collector may take to answer, in milliseconds. */
const patienceMs = 5000

/** The SDK of OpenTelemetry, which collects ended spans and sends them once a second, in the background. */
const makeProvider = Effect.fnUntraced(function* (tracing: SettingsShape["tracing"], version: string) {
  const rarely = yield* makeThrottledLog
  const { host, pathname } = new URL(tracing.endpoint)
  const onFailure = rarely((reason: string) =>
    Effect.logWarning("traces are lost: the collector does not accept them", { collector: host + pathname, reason })
  )
  return yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new BasicTracerProvider({
          resource: resourceFromAttributes({
            "service.name": tracing.serviceName,
            "service.version": version,
            "service.instance.id": randomUUID(),
            "host.name": hostname()
          }),
          spanProcessors: [
            new BatchSpanProcessor(
              new PatientExporter(() => exporterFor(tracing.endpoint, patienceMs), patienceMs, onFailure),
              {
                scheduledDelayMillis: 1000
              }
            )
          ]
        })
    ),
    (provider) => Effect.tryPromise(() => provider.shutdown()).pipe(Effect.timeoutOption("2 seconds"), Effect.ignore)
  )
})

/** `Tracing` with the settings in `tracing`; nothing is traced unless `tracing.enabled` is true. */
export const layer = (version: string) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { tracing } = yield* Settings
      if (!tracing.enabled) return Layer.empty
      return Layer.effect(
        Tracing,
        Effect.gen(function* () {
          const provider = yield* makeProvider(tracing, version)
          const tracer = yield* Effect.provideService(
            OtelTracer.make,
            OtelTracer.OtelTracer,
            provider.getTracer("chat-service", version)
          )
          // Without `context`, which would cost time in each step of a fiber and is only used by other OpenTelemetry
          // libraries.
          return makeTracing({ span: tracer.span }, tracing.sampleRate, yield* Clock.Clock)
        })
      )
    })
  )
