import { Effect, Layer } from "effect"
import { HttpRouter, type HttpServerRequest } from "effect/http"
import { RpcServer } from "effect/rpc"
import * as Handlers from "../rpc/Handlers.ts"
import { AllOperations } from "../rpc/Operations.ts"
import { Settings } from "../services/Settings.ts"
import { makeBodyCheck } from "./JsonBodyCheck.ts"
import * as RpcCallers from "./RpcCallers.ts"
import * as RpcEvents from "./RpcEvents.ts"
import { layerJson, layerNdjson, withIdsOnce, withInvalidRequests } from "./RpcMessages.ts"
import { makeRpcSockets } from "./RpcSocket.ts"
import { withTraces } from "./RpcTrace.ts"
import { checkUpgrade } from "./Upgrade.ts"

/** Serves all operations over a protocol. A fault of ours fails its own call, and no other of the same client. */
const serve = (protocol: RpcServer.Protocol["Service"]) =>
  RpcServer.make(AllOperations, { disableFatalDefects: true, disableTracing: true }).pipe(
    Effect.provideService(RpcServer.Protocol, withTraces(withInvalidRequests(protocol))),
    Effect.forkScoped
  )

/** `POST /rpc`: one call or more a request, one JSON object a line. */
const http = Layer.effectDiscard(
  Effect.gen(function* () {
    const router = yield* HttpRouter.HttpRouter
    const check = yield* makeBodyCheck(/^application\/(x-)?(nd)?json\s*(;|$)/i, "application/x-ndjson")
    const { httpEffect, protocol } = yield* RpcServer.makeProtocolWithHttpEffect()
    yield* serve(protocol)
    yield* router.add("POST", "/rpc", Effect.andThen(check, httpEffect))
  })
).pipe(Layer.provide(layerNdjson))

/** `GET /rpc/ws`: calls over a WebSocket. */
const socket = Layer.effectDiscard(
  Effect.gen(function* () {
    const router = yield* HttpRouter.HttpRouter
    const { server } = yield* Settings
    const sockets = yield* makeRpcSockets
    const { httpEffect, protocol } = yield* RpcServer.makeProtocolWithHttpEffectWebsocket
    yield* serve(withIdsOnce(protocol))
    yield* router.add("GET", "/rpc/ws", (request: HttpServerRequest.HttpServerRequest) =>
      Effect.andThen(checkUpgrade(request, server.allowedOrigins), sockets(httpEffect))
    )
  })
).pipe(Layer.provide(layerJson))

/** The operations as RPC, over HTTP and WebSocket. */
export const RpcRoutes = Layer.merge(http, socket).pipe(
  Layer.provide([Handlers.layer, RpcEvents.layer, RpcCallers.layer])
)
