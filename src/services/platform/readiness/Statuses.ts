import { Clock, Effect } from "effect"
import type { DependencyStatus } from "../../../domain/Readiness.ts"
import { dependencyLatency, dependencyUp } from "../MetricDefinitions.ts"
import { Metrics } from "../Metrics.ts"

/** What the last probes of this node's dependencies found. */
export interface Statuses {
  /** The status of each dependency by its name. */
  readonly all: ReadonlyMap<string, DependencyStatus>
  /** The status of a dependency, if it was ever set. */
  readonly of: (name: string) => DependencyStatus | undefined
  /** Stores what a probe found, and counts it. A change is logged, with the effect of the outage (`without`). */
  readonly set: (
    name: string,
    status: DependencyStatus["status"],
    details: { readonly latencyMs?: number; readonly detail?: string },
    without: string
  ) => Effect.Effect<void>
}

/** Makes the statuses. The dependencies that are `inProcess` have that status until a probe finds another. */
export const makeStatuses = Effect.fnUntraced(function* (inProcess: ReadonlyArray<string>) {
  const metrics = yield* Metrics
  const now = Effect.map(Clock.currentTimeMillis, (millis) => new Date(millis).toISOString())
  const started = yield* now
  const all = new Map<string, DependencyStatus>()
  for (const name of inProcess) {
    metrics.gauge(dependencyUp, { dependency: name })(1)
    all.set(name, { status: "in-process", since: started })
  }
  return {
    all,
    of: (name) => all.get(name),
    set: Effect.fnUntraced(function* (name, status, details, without) {
      const before = all.get(name)
      const changed = before?.status !== status
      if (details.latencyMs !== undefined) {
        metrics.gauge(dependencyLatency, { dependency: name })(details.latencyMs / 1000)
      }
      all.set(name, { status, since: changed || before === undefined ? yield* now : before.since, ...details })
      if (!changed) return
      metrics.gauge(dependencyUp, { dependency: name })(status === "down" ? 0 : 1)
      yield* status !== "down"
        ? Effect.logInfo(`${name} is up`, { dependency: name })
        : Effect.logWarning(`${name} is down: ${without}`, { dependency: name, reason: details.detail })
    })
  } satisfies Statuses
})
