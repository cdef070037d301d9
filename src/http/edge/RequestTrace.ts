import type { Tracer } from "effect"
import type { HttpServerRequest } from "effect/http"
import type { SettingsShape } from "../../services/platform/Settings.ts"
import type { RequestInfo } from "./CurrentRequest.ts"
import type { Answer } from "./ProblemOfCause.ts"

/**
 * These routes have no spans. Socket commands and RPC calls are traced one by one instead of the connection that carries
 * them, and probes come every few seconds.
 */
export const isTraced = ({ metrics }: SettingsShape) => {
  const apart = new Set(["/rpc", "/health", "/ready", metrics.path])
  return ({ headers, url }: HttpServerRequest.HttpServerRequest) =>
    headers.upgrade === undefined && !apart.has(url.replace(/\/*(\?.*)?$/, ""))
}

/** Describes a request as a span by OpenTelemetry's conventions, without its URL, which may hold private data. */
export const requestSpan = (request: HttpServerRequest.HttpServerRequest, { id }: RequestInfo) => ({
  name: request.method,
  kind: "server" as const,
  attributes: { "http.request.method": request.method, "chat.request.id": id }
})

/** The attributes that are known once the request is answered, such as the route that the router found. */
export const describeAnswer = (
  span: Tracer.AnySpan | undefined,
  info: RequestInfo,
  { interrupted, response }: Answer
) => {
  if (span?._tag !== "Span") return
  if (info.userId !== undefined) span.attribute("user.id", info.userId)
  span.attribute("http.response.status_code", response.status)
  if (response.status >= 500 && interrupted !== true) span.attribute("error.type", String(response.status))
}
