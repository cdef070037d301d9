import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Metrics } from "../../services/platform/Metrics.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { makeNodeServer } from "./NodeServer.ts"

const contentTypes = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
}

/** Clients that understand OpenMetrics, as Prometheus does, ask for it. It has exemplars. */
const formatFor = ({ headers }: HttpServerRequest.HttpServerRequest) =>
  headers.accept?.includes("application/openmetrics-text") ? "openmetrics" : "text"

/** Makes the function that answers with the metrics. They are rendered at most once in `timers.metrics_render`, for all. */
const makeAnswer = Effect.gen(function* () {
  const { timers } = yield* Settings
  const { render } = yield* Metrics
  // Uninterruptible, because others may wait for the same metrics when a client leaves.
  const shared = (format: keyof typeof contentTypes) =>
    Effect.cachedWithTTL(Effect.uninterruptible(render(format)), timers.metricsRender)
  const rendered = { text: yield* shared("text"), openmetrics: yield* shared("openmetrics") }
  return (request: HttpServerRequest.HttpServerRequest) => {
    const format = formatFor(request)
    return Effect.map(rendered[format], (body) =>
      HttpServerResponse.text(body, { headers: { "content-type": contentTypes[format] } })
    )
  }
})

/** Serves `metrics.path` on the server's own port, for Prometheus. */
export const MetricsRoute = Layer.unwrap(
  Effect.gen(function* () {
    const { enabled, path } = (yield* Settings).metrics
    return enabled ? HttpRouter.add("GET", path, yield* makeAnswer) : Layer.empty
  })
)

/**
 * Serves the metrics alone on `metrics.port`, when that is set and not the server's own port. A busy port is a warning
 * and no failure, because Prometheus itself often listens there.
 */
export const MetricsServer = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* Settings
    const { metrics, server } = settings
    const { enabled, path, port } = metrics
    if (!enabled || port === undefined || port === server.port) return Layer.empty
    const answer = yield* makeAnswer
    // It has no router, because layers share one, and with it every route of the service.
    const only = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
      request.method === "GET" && request.url.split("?", 1)[0] === path
        ? answer(request)
        : Effect.succeed(HttpServerResponse.empty({ status: 404 }))
    )
    return HttpServer.serve(only).pipe(
      Layer.provide(
        NodeHttpServer.layer(() => makeNodeServer(settings).server, {
          port,
          ...(settings.server.host !== undefined && { host: settings.server.host }),
          gracefulShutdownTimeout: 100
        })
      ),
      Layer.catchTag("ServeError", () =>
        Layer.effectDiscard(
          Effect.logWarning(`metrics.port: cannot listen on ${port}; metrics are on the server's port`)
        )
      )
    )
  })
)
