import { Effect } from "effect"
import type { HttpServerRequest } from "effect/http"
import { clientFieldOf } from "../../services/platform/Address.ts"
import type { SettingsShape } from "../../services/platform/Settings.ts"
import type { RequestInfo } from "./CurrentRequest.ts"
import type { Answer } from "./ProblemOfCause.ts"

/**
 * Makes the function that logs one line for each answered request. The line has the template of the route and never the
 * URL, which may hold private data. It names the address of a client whose request failed or was refused, or that opened
 * a stream of events. A fault of the service is logged with its cause. Probes, which come every few seconds, are logged at
 * the level Debug.
 */
export const makeRequestLog = ({ logging, metrics }: Pick<SettingsShape, "logging" | "metrics">) => {
  const probes = new Set(["/health", "/ready", metrics.path])
  const clientField = clientFieldOf(logging)
  return (
    { method }: HttpServerRequest.HttpServerRequest,
    info: RequestInfo,
    durationMs: number,
    { fault, interrupted, response: { headers, status } }: Answer
  ) => {
    const { route, serviceTokenId, userId } = info
    const isStream = headers["content-type"]?.startsWith("text/event-stream") === true
    const line = {
      method,
      route,
      status,
      durationMs: Math.round(durationMs * 100) / 100,
      ...(userId !== undefined && { userId }),
      ...(serviceTokenId !== undefined && { serviceTokenId }),
      ...((status >= 400 || isStream) && clientField(info.address))
    }
    if (fault !== undefined) return Effect.logError("request", line, fault)
    if (probes.has(route)) return Effect.logDebug("request", line)
    return status >= 500 && interrupted !== true ? Effect.logError("request", line) : Effect.logInfo("request", line)
  }
}
