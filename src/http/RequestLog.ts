import { Clock, Effect } from "effect"
import type { HttpServerRequest } from "effect/http"
import type { RequestInfo } from "./CurrentRequest.ts"
import type { Answer } from "./ProblemOfCause.ts"

/** Asked every few seconds by machines: of interest only to who looks for them. */
const probes = new Set(["/health", "/ready", "/metrics"])

/** A socket's life is told by its gateway. */
const isSocket = ({ headers }: HttpServerRequest.HttpServerRequest, { interrupted, response }: Answer) =>
  headers.upgrade !== undefined && (interrupted === true || response.status < 400)

/**
 * One line for a request that was answered: its route's template, never the URL, which may hold what is private. A
 * fault of ours is told with its cause.
 */
export const logRequest = (
  request: HttpServerRequest.HttpServerRequest,
  info: RequestInfo,
  route: string | undefined,
  answer: Answer
) => {
  if (isSocket(request, answer)) return Effect.void
  const { status } = answer.response
  return Effect.flatMap(Clock.currentTimeNanos, (now) => {
    const line = {
      method: request.method,
      route: route ?? "none",
      status,
      durationMs: Math.round(Number(now - info.since) / 1e4) / 100,
      ...(info.userId !== undefined && { userId: info.userId })
    }
    if (answer.fault !== undefined) return Effect.logError("request", line, answer.fault)
    if (route !== undefined && probes.has(route)) return Effect.logDebug("request", line)
    // A dependency that is away is told once, by its own line; each answer that says so is no fault of ours.
    if (status === 503) return Effect.logWarning("request", line)
    return status >= 500 && answer.interrupted !== true
      ? Effect.logError("request", line)
      : Effect.logInfo("request", line)
  })
}
