import { Effect, Layer, Stream } from "effect"
import { FetchHttpClient, Headers } from "effect/http"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { Socket } from "effect/socket"
import { AllOperations } from "../operations/Operations.ts"
import { isTracing, propagateTrace } from "./Traces.ts"

const over = {
  http: (url: string, tracing: boolean) =>
    RpcClient.layerProtocolHttp({ url: `${url}/rpc`, transformClient: propagateTrace(tracing) }).pipe(
      Layer.provide([RpcSerialization.layerNdjson, FetchHttpClient.layer])
    ),
  websocket: (url: string) =>
    RpcClient.layerProtocolSocket().pipe(
      Layer.provide([
        RpcSerialization.layerJson,
        Socket.layerWebSocket(`${url.replace(/^http/, "ws")}/rpc/ws`).pipe(
          Layer.provide(Socket.layerWebSocketConstructorGlobal)
        )
      ])
    )
}

/**
 * Makes the RPC client: every operation as a typed call, `rpc["message.send"](…)`, and `events.stream` as a stream.
 * `url` is the URL of the service. The client lives until the scope closes; `withToken` adds the access token.
 */
export const makeRpc = Effect.fnUntraced(function* (url: string, transport: keyof typeof over = "http") {
  const tracing = yield* isTracing
  const protocol = yield* Layer.build(over[transport](url, tracing))
  return yield* RpcClient.make(AllOperations, { disableTracing: !tracing }).pipe(Effect.provideContext(protocol))
})

/** Adds an access token to a call or to a stream. */
export const withToken = (token: string) => {
  const own = Headers.fromInput({ authorization: `Bearer ${token}` })
  function add<A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A, E, R>
  function add<A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R>
  function add<A, E, R>(given: Effect.Effect<A, E, R> | Stream.Stream<A, E, R>) {
    if (Effect.isEffect(given)) return RpcClient.withHeaders(given, own)
    return Stream.updateService(given, RpcClient.CurrentHeaders, (headers) => Headers.merge(headers, own))
  }
  return add
}
