import { Context, Effect, Layer, type Scope } from "effect"
import type { ReadinessReport } from "../../../domain/Readiness.ts"
import { Shedding } from "../load/Shedding.ts"
import { draining } from "../MetricDefinitions.ts"
import { Metrics } from "../Metrics.ts"
import { Settings } from "../Settings.ts"
import { makeDatabaseProbe } from "./DatabaseProbe.ts"
import { Drain } from "./Drain.ts"
import { type Dependency, makeProbes } from "./Probes.ts"
import { SchemaReady } from "./SchemaReady.ts"
import { makeStatuses } from "./Statuses.ts"

/**
 * Whether this node can serve. Dependencies are probed all the time in the background, and the report is what the last
 * probes found, so reading it takes no time, even while a dependency hangs.
 */
export class Readiness extends Context.Service<
  Readiness,
  {
    /** The state of this node and its dependencies, as the last probes found them. */
    readonly report: Effect.Effect<ReadinessReport>
    /** Probes a dependency until the scope closes. Returns when it has answered once, or did not within a second. */
    readonly watch: (dependency: Dependency) => Effect.Effect<void, never, Scope.Scope>
  }
>()("chat/services/Readiness") {
  /** Watches nothing yet: `nats` and `redis` are in-process, until something watches them. */
  static readonly layerNoDeps = Layer.effect(
    Readiness,
    Effect.gen(function* () {
      const drain = yield* Drain
      const migrations = yield* SchemaReady
      const metrics = yield* Metrics
      const shedding = yield* Shedding
      metrics.read(draining, () => (drain.isDraining() ? 1 : 0))
      const statuses = yield* makeStatuses(["nats", "redis"])
      const watch = makeProbes(statuses)
      const required = new Set<string>()

      const statusOfNode = (): ReadinessReport["status"] => {
        const isDown = (name: string) => statuses.of(name)?.status === "down"
        if (drain.isLeaving()) return "draining"
        if ([...required].some(isDown) || shedding.isOverloaded()) return "unavailable"
        if ([...statuses.all.keys()].some(isDown)) return "degraded"
        return "ready"
      }

      return Readiness.of({
        report: Effect.sync(() => ({
          status: statusOfNode(),
          dependencies: Object.fromEntries(statuses.all),
          migrations
        })),
        watch: (dependency) =>
          Effect.suspend(() => {
            if (dependency.required) required.add(dependency.name)
            return watch(dependency)
          })
      })
    })
  )

  /** Watches PostgreSQL: whether it can be written to. */
  static readonly layer = Layer.effect(
    Readiness,
    Effect.gen(function* () {
      const readiness = yield* Readiness
      const { postgres } = yield* Settings
      yield* readiness.watch({
        name: "postgres",
        required: true,
        without: "nothing can be stored",
        ...(yield* makeDatabaseProbe(postgres !== undefined))
      })
      return readiness
    })
  ).pipe(Layer.provide(this.layerNoDeps))
}
