import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Metrics, type MetricsShape } from "../services/Metrics.ts"
import { Settings } from "../services/Settings.ts"
import { makeNodeServer } from "./NodeServer.ts"

const contentTypes = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
}

/** Who knows OpenMetrics says so, as Prometheus does; it has exemplars. */
const formatFor = ({ headers }: HttpServerRequest.HttpServerRequest) =>
  headers.accept?.includes("application/openmetrics-text") ? "openmetrics" : "text"

const answer = (render: MetricsShape["render"], request: HttpServerRequest.HttpServerRequest) => {
  const format = formatFor(request)
  return Effect.map(render(format), (body) =>
    HttpServerResponse.text(body, { headers: { "content-type": contentTypes[format] } })
  )
}

/** `metrics.path` on the server's own port, for Prometheus. */
export const MetricsRoute = Layer.unwrap(
  Effect.gen(function* () {
    const { enabled, path } = (yield* Settings).metrics
    const { render } = yield* Metrics
    return enabled ? HttpRouter.add("GET", path, (request) => answer(render, request)) : Layer.empty
  })
)

/**
 * The same on `metrics.port`, when that is given and another one, and nothing else there. A busy port is a warning and no
 * failure: it is where Prometheus itself often sits.
 */
export const MetricsServer = Layer.unwrap(
  Effect.gen(function* () {
    const { metrics, server } = yield* Settings
    const { render } = yield* Metrics
    const { enabled, path, port } = metrics
    if (!enabled || port === undefined || port === server.port) return Layer.empty
    // No router: layers share theirs, and with it every route of the service.
    const only = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
      request.method === "GET" && request.url.split("?", 1)[0] === path
        ? answer(render, request)
        : Effect.succeed(HttpServerResponse.empty({ status: 404 }))
    )
    return HttpServer.serve(only).pipe(
      Layer.provide(NodeHttpServer.layer(() => makeNodeServer().server, { port, gracefulShutdownTimeout: 100 })),
      Layer.catchTag("ServeError", () =>
        Layer.effectDiscard(
          Effect.logWarning(`metrics.port: cannot listen on ${port}; metrics are on the server's port`)
        )
      )
    )
  })
)
