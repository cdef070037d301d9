import { Effect, Tracer } from "effect"
import { HttpClient } from "effect/http"

/**
 * Whether the caller traces. Effect makes spans for everybody, "sampled" ones: told to the service, they would have it
 * keep the trace of each call.
 */
export const isTracing = Effect.map(Effect.tracer, (tracer) => tracer !== Tracer.nativeTracer)

/** Requests name the caller's span only if he traces. */
export const tellTrace = (tracing: boolean) =>
  HttpClient.transformResponse(Effect.provideService(HttpClient.TracerPropagationEnabled, tracing))
