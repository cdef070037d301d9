import { IncomingMessage, ServerResponse } from "node:http"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect, Layer } from "effect"
import { HttpRouter, type HttpServerRequest, HttpServerResponse } from "effect/http"
import { Unavailable, UpgradeRequired } from "../../domain/Problem.ts"
import { clientAddressOf } from "../../services/platform/Address.ts"
import { tooManyOpen } from "../../services/platform/Limits.ts"
import { Shedding } from "../../services/platform/load/Shedding.ts"
import { allowsPage } from "../../services/platform/Origins.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { Gateway } from "../../ws/Gateway.ts"
import { checkUpgrade } from "../edge/Upgrade.ts"

/** Serves `GET /v1/ws` and `/ws`. A refusal is a problem, before the upgrade; after it the socket belongs to the gateway. */
export const SocketRoute = Layer.unwrap(
  Effect.gen(function* () {
    const gateway = yield* Gateway
    const { server } = yield* Settings
    const shedding = yield* Shedding
    const allows = allowsPage(server)
    const clientAddress = clientAddressOf(server.trustedProxies)

    const upgrade = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest) {
      yield* checkUpgrade(request, allows)
      yield* shedding.check("connections")
      const address = clientAddress(request)
      const refusal = gateway.refusal(address)
      if (refusal === "draining") return yield* new Unavailable({ detail: "This node is shutting down" })
      if (refusal !== undefined) return yield* tooManyOpen("sockets", refusal)
      const incoming = NodeHttpServerRequest.toIncomingMessage(request)
      const response = NodeHttpServerRequest.toServerResponse(request)
      if (!(incoming instanceof IncomingMessage && response instanceof ServerResponse))
        return yield* new UpgradeRequired({ detail: "Upgrades need HTTP/1.1" })
      yield* gateway.accept(incoming, response, address)
      return HttpServerResponse.empty()
    })

    return Layer.mergeAll(HttpRouter.add("GET", "/v1/ws", upgrade), HttpRouter.add("GET", "/ws", upgrade))
  })
)
