import { Effect, Layer } from "effect"
import { HttpRouter, type HttpServerRequest } from "effect/http"
import { RpcServer } from "effect/rpc"
import { makeBodyCheck } from "../http/edge/JsonBodyCheck.ts"
import { checkUpgrade } from "../http/edge/Upgrade.ts"
import * as Handlers from "../operations/Handlers.ts"
import { AllOperations } from "../operations/Operations.ts"
import { allowsPage } from "../services/platform/Origins.ts"
import { Settings } from "../services/platform/Settings.ts"
import * as RpcCallers from "./RpcCallers.ts"
import * as RpcEvents from "./RpcEvents.ts"
import { layerNdjson, withIdsOnce, withInvalidRequests } from "./RpcMessages.ts"
import { makeRpcSockets } from "./RpcSockets.ts"
import { withTraces } from "./RpcTrace.ts"

/** Serves all operations over a protocol. A defect fails its own call, and no other call of the same client. */
const serve = (protocol: RpcServer.Protocol["Service"]) =>
  RpcServer.make(AllOperations, { disableFatalDefects: true, disableTracing: true }).pipe(
    Effect.provideService(RpcServer.Protocol, withTraces(withInvalidRequests(protocol))),
    Effect.forkScoped
  )

/** Serves `POST /rpc`: a request has one or more calls, with one JSON object per line. */
const http = Layer.effectDiscard(
  Effect.gen(function* () {
    const router = yield* HttpRouter.HttpRouter
    const check = yield* makeBodyCheck(/^application\/(x-)?(nd)?json\s*(;|$)/i, "application/x-ndjson")
    const { httpEffect, protocol } = yield* RpcServer.makeProtocolWithHttpEffect()
    yield* serve(protocol)
    yield* router.add("POST", "/rpc", Effect.andThen(check, httpEffect))
  })
).pipe(Layer.provide(layerNdjson))

/** Serves `GET /rpc/ws`: calls over a WebSocket. */
const socket = Layer.effectDiscard(
  Effect.gen(function* () {
    const router = yield* HttpRouter.HttpRouter
    const allows = allowsPage((yield* Settings).server)
    const { accept, protocol } = yield* makeRpcSockets
    yield* serve(withIdsOnce(protocol))
    yield* router.add("GET", "/rpc/ws", (request: HttpServerRequest.HttpServerRequest) =>
      Effect.andThen(checkUpgrade(request, allows), accept)
    )
  })
)

/** Serves the operations as RPC, over HTTP and WebSocket. */
export const RpcRoutes = Layer.merge(http, socket).pipe(
  Layer.provide([Handlers.layer, RpcEvents.layer, RpcCallers.layer])
)
