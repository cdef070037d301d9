import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { Settings } from "../services/Settings.ts"
import { makeNodeServer } from "./NodeServer.ts"

/** `metrics.path` on the server's own port, for Prometheus. */
export const MetricsRoute = Layer.unwrap(
  Effect.map(Settings, ({ metrics }) =>
    metrics.enabled ? PrometheusMetrics.layerHttp({ path: metrics.path }) : Layer.empty
  )
)

/**
 * The same on `metrics.port`, when that is given and another one. A busy port is a warning and no failure: it is where
 * Prometheus itself often sits.
 */
export const MetricsServer = Layer.unwrap(
  Effect.map(Settings, ({ metrics, server }) => {
    const { port } = metrics
    if (!metrics.enabled || port === undefined || port === server.port) return Layer.empty
    return HttpRouter.serve(MetricsRoute, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provide(NodeHttpServer.layer(() => makeNodeServer().server, { port, gracefulShutdownTimeout: 100 })),
      Layer.catchTag("ServeError", () =>
        Layer.effectDiscard(
          Effect.logWarning(`metrics.port: cannot listen on ${port}; metrics are on the server's port`)
        )
      )
    )
  })
)
