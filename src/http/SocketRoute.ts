import { IncomingMessage } from "node:http"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect, Layer } from "effect"
import { HttpRouter, type HttpServerRequest, HttpServerResponse } from "effect/http"
import { RateLimited, Unavailable, UpgradeRequired } from "../domain/Problem.ts"
import { Settings } from "../services/Settings.ts"
import { Gateway } from "../ws/Gateway.ts"
import { clientAddressOf } from "./ClientAddress.ts"
import { checkUpgrade } from "./Upgrade.ts"

/** `GET /v1/ws` and `/ws`: what is refused is refused as a problem before the upgrade, the rest is the gateway's. */
export const SocketRoute = Layer.unwrap(
  Effect.gen(function* () {
    const gateway = yield* Gateway
    const { server } = yield* Settings
    const clientAddress = clientAddressOf(server.trustedProxies)

    const upgrade = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest) {
      yield* checkUpgrade(request, server.allowedOrigins)
      const address = clientAddress(request)
      const refusal = gateway.refusal(address)
      if (refusal === "draining") return yield* new Unavailable({ detail: "This node is going away" })
      if (refusal === "too-many") return yield* new RateLimited({ retryAfterMs: 1000, detail: "Too many sockets" })
      const incoming = NodeHttpServerRequest.toIncomingMessage(request)
      if (!(incoming instanceof IncomingMessage))
        return yield* new UpgradeRequired({ detail: "Upgrades need HTTP/1.1" })
      yield* gateway.accept(incoming, address)
      return HttpServerResponse.empty()
    })

    return Layer.mergeAll(HttpRouter.add("GET", "/v1/ws", upgrade), HttpRouter.add("GET", "/ws", upgrade))
  })
)
