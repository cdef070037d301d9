import { Effect } from "effect"
import type { HttpServerRequest } from "effect/http"
import type { RequestInfo } from "./CurrentRequest.ts"
import type { Answer } from "./ProblemOfCause.ts"

/**
 * Makes what writes one line for a request that was answered: its route's template, never the URL, which may hold what
 * is private. A fault of ours is told with its cause. What machines ask every few seconds is of interest only to who
 * looks for it.
 */
export const makeRequestLog = (metricsPath: string) => {
  const probes = new Set(["/health", "/ready", metricsPath])
  return (
    { method }: HttpServerRequest.HttpServerRequest,
    { route, userId }: RequestInfo,
    durationMs: number,
    { fault, interrupted, response: { status } }: Answer
  ) => {
    const line = {
      method,
      route,
      status,
      durationMs: Math.round(durationMs * 100) / 100,
      ...(userId !== undefined && { userId })
    }
    if (fault !== undefined) return Effect.logError("request", line, fault)
    if (probes.has(route)) return Effect.logDebug("request", line)
    return status >= 500 && interrupted !== true ? Effect.logError("request", line) : Effect.logInfo("request", line)
  }
}
