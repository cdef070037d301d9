import { Effect } from "effect"
import { httpDuration, httpInFlight, httpRequests } from "../../services/platform/MetricDefinitions.ts"
import { Metrics } from "../../services/platform/Metrics.ts"

/** The methods that routes have. A client may send any other word as a method. */
const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])

/** Counts requests by the template of their route, never by the path that was asked for. */
export const makeRequestMetrics = Effect.map(Metrics, (metrics) => {
  const inFlight = new Map<string, number>()
  const move = (route: string, by: number) => {
    if (!inFlight.has(route)) metrics.read(httpInFlight, () => inFlight.get(route) ?? 0, { route })
    inFlight.set(route, (inFlight.get(route) ?? 0) + by)
  }
  return {
    began: (route: string) => move(route, 1),
    ended: (route: string) => move(route, -1),
    answered: (
      asked: string,
      route: string,
      status: number,
      durationSeconds: number,
      traceId: string | undefined
    ): void => {
      const method = methods.has(asked) ? asked : "other"
      metrics.counter(httpRequests, { method, route, status: String(status) })()
      metrics.histogram(httpDuration, { method, route })(durationSeconds, traceId)
    }
  }
})

export type RequestMetrics = Effect.Success<typeof makeRequestMetrics>
