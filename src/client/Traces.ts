import { Effect, Tracer } from "effect"
import { HttpClient } from "effect/http"

/**
 * Whether the caller traces. Effect makes "sampled" spans for every program; if they were propagated, the service would
 * keep the trace of each call.
 */
export const isTracing = Effect.map(Effect.tracer, (tracer) => tracer !== Tracer.nativeTracer)

/** Sends the caller's span with requests, but only if the caller traces. */
export const propagateTrace = (tracing: boolean) =>
  HttpClient.transformResponse(Effect.provideService(HttpClient.TracerPropagationEnabled, tracing))
