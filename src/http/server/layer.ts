import { Layer } from "effect"
import { MetricsRoute } from "./MetricsServer.ts"
import { HttpRoutes, serve } from "./Server.ts"
import { SocketRoute } from "./SocketRoute.ts"

/** Serves HTTP, the WebSocket, the metrics and the given routes on a server. The caller provides what the routes need. */
export const layer = <A, E, R>(routes: Layer.Layer<A, E, R>) =>
  serve(Layer.mergeAll(HttpRoutes, SocketRoute, MetricsRoute, routes))
