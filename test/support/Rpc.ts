import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { Context, Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { AllOperations } from "../../src/operations/Operations.ts"

/** The transports of RPC. */
export const transports = {
  http: (url: string) =>
    RpcClient.layerProtocolHttp({ url: `${url}/rpc` }).pipe(
      Layer.provide([RpcSerialization.layerNdjson, FetchHttpClient.layer])
    ),
  websocket: (url: string) =>
    RpcClient.layerProtocolSocket().pipe(
      Layer.provide([RpcSerialization.layerJson, NodeSocket.layerWebSocket(`${url.replace(/^http/, "ws")}/rpc/ws`)])
    )
}

/** A client of the service at a URL, until the scope closes. */
export const rpcClient = Effect.fnUntraced(function* (url: string, transport: keyof typeof transports) {
  const protocol = yield* Layer.build(transports[transport](url))
  return yield* RpcClient.make(AllOperations).pipe(
    Effect.provideContext(Context.merge(yield* Effect.context<never>(), protocol))
  )
})

/** Adds the access token to calls. */
export const withToken = (token: string) => RpcClient.withHeaders({ authorization: `Bearer ${token}` })
