import { Cause, Clock, Context, Deferred, Effect, Exit, Fiber, Layer, Option, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import type { DependencyStatus, ReadinessReport } from "../domain/Readiness.ts"
import { Drain } from "./Drain.ts"
import { dependencyLatency, dependencyUp, draining } from "./MetricDefinitions.ts"
import { Metrics } from "./Metrics.ts"
import { Migrated } from "./Migrated.ts"

/** Something that this node stands on. Without a `required` one it cannot serve; without another it is degraded. */
export interface Dependency {
  readonly name: string
  readonly required: boolean
  /** True when nothing is there but what stands in for it in this process. */
  readonly inProcess?: boolean
  /** What it means that it is away, for the log. */
  readonly without: string
  /** Fails, or does not answer, when the dependency is away. */
  readonly probe: Effect.Effect<unknown, { readonly message: string }>
}

const interval = "1 second"

/** A dependency that takes longer is as good as away. */
const patience = "1 second"

/** By then a statement has timed out, unless its connection is dead: the next probe needs another one. */
const lastPatience = "10 seconds"

const reasonOf = (cause: Cause.Cause<{ readonly message: string }>) => {
  const failure = cause.reasons.find(Cause.isFailReason)
  return failure === undefined ? "the probe failed" : failure.error.message
}

/**
 * Whether this node can serve. Dependencies are probed all the time in the background, and the answer is what was last
 * seen: asking takes no time, also while a dependency hangs.
 */
export class Readiness extends Context.Service<
  Readiness,
  {
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
      const migrations = yield* Migrated
      const metrics = yield* Metrics
      metrics.read(draining, () => (drain.isDraining() ? 1 : 0))
      const now = Effect.map(Clock.currentTimeMillis, (millis) => new Date(millis).toISOString())
      const started = yield* now
      const required = new Set<string>()
      for (const dependency of ["nats", "redis"]) metrics.gauge(dependencyUp, { dependency })(1)
      const statuses = new Map<string, DependencyStatus>(
        ["nats", "redis"].map((name) => [name, { status: "in-process", since: started }])
      )

      const set = Effect.fnUntraced(function* (
        name: string,
        status: "up" | "in-process" | "down",
        details: { readonly latencyMs?: number; readonly detail?: string },
        without: string
      ) {
        const before = statuses.get(name)
        const changed = before?.status !== status
        if (details.latencyMs !== undefined)
          metrics.gauge(dependencyLatency, { dependency: name })(details.latencyMs / 1000)
        statuses.set(name, { status, since: changed || before === undefined ? yield* now : before.since, ...details })
        if (!changed) return
        metrics.gauge(dependencyUp, { dependency: name })(status === "down" ? 0 : 1)
        yield* status !== "down"
          ? Effect.logInfo(`${name} is there`, { dependency: name })
          : Effect.logWarning(`${name} is away: ${without}`, { dependency: name, reason: details.detail })
      })

      const probeOnce = Effect.fnUntraced(function* (
        { inProcess, name, probe, without }: Dependency,
        answered: Effect.Effect<unknown>
      ) {
        const since = yield* Clock.currentTimeMillis
        // Detached, and never waited for when it is interrupted: giving up a query on a frozen server takes seconds.
        const fiber = yield* Effect.forkDetach(probe)
        const exit = yield* Effect.timeoutOption(Fiber.await(fiber), patience)
        if (Option.isNone(exit)) yield* set(name, "down", { detail: "no answer within 1 second" }, without)
        else if (Exit.isFailure(exit.value)) yield* set(name, "down", { detail: reasonOf(exit.value.cause) }, without)
        else if (inProcess === true) yield* set(name, "in-process", {}, without)
        else yield* set(name, "up", { latencyMs: (yield* Clock.currentTimeMillis) - since }, without)
        yield* answered
        if (Option.isSome(exit)) return yield* Effect.sleep(interval)
        const late = yield* Effect.timeoutOption(Fiber.await(fiber), lastPatience)
        if (Option.isNone(late)) yield* Effect.forkDetach(Fiber.interrupt(fiber))
      })

      return Readiness.of({
        report: Effect.sync(() => {
          const isDown = (name: string) => statuses.get(name)?.status === "down"
          const status = drain.isDraining()
            ? "draining"
            : [...required].some(isDown)
              ? "unavailable"
              : [...statuses.keys()].some(isDown)
                ? "degraded"
                : "ready"
          return { status, dependencies: Object.fromEntries(statuses), migrations }
        }),
        // Untraced: what is forked here lives as long as the node, and a span would go with it.
        watch: Effect.fnUntraced(function* (dependency) {
          if (dependency.required) required.add(dependency.name)
          const answered = yield* Deferred.make<void>()
          yield* probeOnce(dependency, Deferred.succeed(answered, undefined)).pipe(Effect.forever, Effect.forkScoped)
          yield* Deferred.await(answered)
        })
      })
    })
  )

  /** Watches PostgreSQL. */
  static readonly layer = Layer.effect(
    Readiness,
    Effect.gen(function* () {
      const readiness = yield* Readiness
      const sql = yield* SqlClient.SqlClient
      yield* readiness.watch({
        name: "postgres",
        required: true,
        probe: sql`SELECT 1`,
        without: "nothing can be stored or read"
      })
      return readiness
    })
  ).pipe(Layer.provide(this.layerNoDeps))
}
