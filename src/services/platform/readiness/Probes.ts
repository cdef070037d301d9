import { Cause, Deferred, type Duration, Effect, Exit, Fiber, Option, type Scope } from "effect"
import { nextTick } from "../Background.ts"
import { monotonicNow } from "../Monotonic.ts"
import type { Statuses } from "./Statuses.ts"

/** A dependency of this node. If a `required` one is down, the node cannot serve; if another is, it is degraded. */
export interface Dependency {
  readonly name: string
  readonly required: boolean
  /** True if the dependency is not configured and this process does its work instead. */
  readonly inProcess?: boolean
  /** The effect of an outage, for the log. */
  readonly without: string
  /** What the probe waits for, for the report when it is late. */
  readonly waitsFor?: () => string
  /** Fails, or does not return, if the dependency is down. */
  readonly probe: Effect.Effect<unknown, { readonly message: string }>
}

const interval = "1 second"

/** A probe that takes longer than this has failed. */
const patience = "1 second"

/**
 * A required dependency that was up is down after this many failed probes in a row. They follow each other faster than
 * others, and a probe that is still late counts again each time.
 */
const strikes = 3
const strikeInterval = "400 millis"

/**
 * After this time a statement has timed out, unless its connection is dead, and then the next probe needs another one.
 */
const lastPatience = "10 seconds"

const reasonOf = (cause: Cause.Cause<{ readonly message: string }>) => {
  const failure = cause.reasons.find(Cause.isFailReason)
  return failure === undefined ? "the probe failed" : failure.error.message
}

/** Makes `watch`, which probes a dependency again and again and puts what it finds into `statuses`. */
export const makeProbes = (statuses: Statuses) => {
  const failures = new Map<string, number>()

  /** Takes a failed probe; true when the dependency is down. */
  const fail = Effect.fnUntraced(function* ({ name, required, without }: Dependency, detail: string) {
    const count = (failures.get(name) ?? 0) + 1
    failures.set(name, count)
    const isDown = !required || statuses.of(name)?.status !== "up" || count >= strikes
    if (isDown) yield* statuses.set(name, "down", { detail }, without)
    else yield* Effect.logDebug(`a probe of ${name} failed`, { dependency: name, reason: detail })
    return isDown
  })

  /** Waits for a probe that is late, and counts it as another failure every 400 ms until the dependency is down. */
  const waitForLate = Effect.fnUntraced(function* (
    dependency: Dependency,
    probe: Fiber.Fiber<unknown, unknown>,
    answered: Effect.Effect<unknown>
  ) {
    const answers = (time: Duration.Input) => Effect.map(Effect.timeoutOption(Fiber.await(probe), time), Option.isSome)
    const { waitsFor } = dependency
    const detail = `no answer within 1 second${waitsFor === undefined ? "" : ` to ${waitsFor()}`}`
    let isDown = yield* fail(dependency, detail)
    yield* answered
    while (!isDown) {
      if (yield* answers(strikeInterval)) return
      isDown = yield* fail(dependency, detail)
    }
    if (!(yield* answers(lastPatience))) yield* Effect.forkDetach(Fiber.interrupt(probe))
  })

  const probeOnce = Effect.fnUntraced(function* (dependency: Dependency, answered: Effect.Effect<unknown>) {
    const { inProcess, name, probe, without } = dependency
    const since = yield* monotonicNow
    // Detached, and never waited for when it is interrupted: giving up a query on a frozen server takes seconds.
    const fiber = yield* Effect.forkDetach(probe)
    const exit = yield* Effect.timeoutOption(Fiber.await(fiber), patience)
    if (Option.isNone(exit)) return yield* waitForLate(dependency, fiber, answered)
    if (Exit.isFailure(exit.value)) {
      const isDown = yield* fail(dependency, reasonOf(exit.value.cause))
      yield* answered
      return yield* isDown ? nextTick(interval) : Effect.sleep(strikeInterval)
    }
    failures.delete(name)
    if (inProcess === true) yield* statuses.set(name, "in-process", {}, without)
    else yield* statuses.set(name, "up", { latencyMs: Math.round((yield* monotonicNow) - since) }, without)
    yield* answered
    yield* nextTick(interval)
  })

  // Untraced: the fiber that is forked here lives as long as the node, and a span would live with it.
  return Effect.fnUntraced(function* (dependency: Dependency): Effect.fn.Return<void, never, Scope.Scope> {
    const answered = yield* Deferred.make<void>()
    yield* probeOnce(dependency, Deferred.succeed(answered, undefined)).pipe(Effect.forever, Effect.forkScoped)
    yield* Deferred.await(answered)
  })
}
