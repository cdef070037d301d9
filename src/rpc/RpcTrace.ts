import { Effect } from "effect"
import type { Headers } from "effect/http"
import { type Rpc, RpcSchema, RpcServer } from "effect/rpc"
import { markFault, Tracing, traceparentOf, untraced } from "../services/platform/Tracing.ts"

/**
 * Copies the trace in the envelope of a call to the header `traceparent` of the call, which clients may also set
 * themselves.
 */
export const withTraces = (protocol: RpcServer.Protocol["Service"]) =>
  RpcServer.Protocol.of({
    ...protocol,
    run: (serve) =>
      protocol.run((clientId, message) => {
        if (message._tag !== "Request" || message.traceId === undefined || message.spanId === undefined)
          return serve(clientId, message)
        const { headers, sampled = true, spanId, traceId } = message
        const traceparent = traceparentOf({ traceId, spanId, sampled })
        return serve(clientId, { ...message, headers: [...headers, ["traceparent", traceparent]] })
      })
  })

/** Runs a call in a span of its own. A stream may last for days, so it has no span. */
export const traced = <A, E, R>(
  call: Effect.Effect<A, E, R>,
  { headers, rpc }: { readonly headers: Headers.Headers; readonly rpc: Rpc.AnyWithProps }
): Effect.Effect<A, E, R> =>
  RpcSchema.isStreamSchema(rpc.successSchema)
    ? untraced(call)
    : Effect.flatMap(Tracing, (tracing) =>
        tracing.incoming(Effect.tapError(call, markFault), headers.traceparent, () => ({
          name: rpc._tag,
          kind: "server",
          attributes: { "rpc.system.name": "effect_rpc", "rpc.method": rpc._tag }
        }))
      )
