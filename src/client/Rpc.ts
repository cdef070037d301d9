import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { Socket } from "effect/socket"
import { AllOperations } from "../rpc/Operations.ts"
import { isTracing, tellTrace } from "./Traces.ts"

const over = {
  http: (url: string, tracing: boolean) =>
    RpcClient.layerProtocolHttp({ url: `${url}/rpc`, transformClient: tellTrace(tracing) }).pipe(
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
 * Every operation as a typed call, and `events.stream` as a stream: `rpc["message.send"](…)`. `url` is that of the
 * service. Until the scope closes. Say who calls with `withToken`.
 */
export const makeRpc = Effect.fnUntraced(function* (url: string, transport: keyof typeof over = "http") {
  const tracing = yield* isTracing
  const protocol = yield* Layer.build(over[transport](url, tracing))
  return yield* RpcClient.make(AllOperations, { disableTracing: !tracing }).pipe(Effect.provideContext(protocol))
})

/** Makes calls, or streams, with that access token. */
export const withToken = (token: string) => RpcClient.withHeaders({ authorization: `Bearer ${token}` })
