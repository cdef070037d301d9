import type { Tracer } from "effect"
import type { HttpServerRequest } from "effect/http"
import type { SettingsShape } from "../services/Settings.ts"
import type { RequestInfo } from "./CurrentRequest.ts"
import type { Answer } from "./ProblemOfCause.ts"

/**
 * Commands of sockets and calls of RPC are traced one by one, never what carries them; what machines ask every few
 * seconds is of no interest.
 */
export const isTraced = ({ metrics }: SettingsShape) => {
  const apart = new Set(["/rpc", "/health", "/ready", metrics.path])
  return ({ headers, url }: HttpServerRequest.HttpServerRequest) =>
    headers.upgrade === undefined && !apart.has(url.replace(/\/*(\?.*)?$/, ""))
}

/** A request as a span, by OpenTelemetry's conventions; never its URL, which may hold what is private. */
export const requestSpan = (request: HttpServerRequest.HttpServerRequest, { id }: RequestInfo) => ({
  name: request.method,
  kind: "server" as const,
  attributes: { "http.request.method": request.method, "chat.request.id": id }
})

/** What is known of the request when it has been answered; its route is told by the router. */
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
