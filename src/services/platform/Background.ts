import { Cause, Duration, Effect, Queue } from "effect"
import { Unavailable } from "../../domain/Problem.ts"
import { monotonicNow } from "./Monotonic.ts"

/**
 * Runs `effect`, and makes a failure or defect one line in the log. `Unavailable` is not logged, since `Readiness` logs
 * that a dependency is down.
 */
const logged = <E, R>(name: string, effect: Effect.Effect<unknown, E, R>) =>
  effect.pipe(
    Effect.catchIf(
      (error) => error instanceof Unavailable,
      () => Effect.void
    ),
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.logError(`${name} failed`, cause)
    )
  )

/**
 * The time until the next multiple of `interval` milliseconds on the monotonic clock, or until the one after it if that is
 * nearer than half of the interval. Loops that wait for it wake an idle process together, which costs a fraction of
 * waking it for each of them.
 */
export const untilNext = (interval: number): Effect.Effect<number> =>
  Effect.map(monotonicNow, (now) => {
    const left = interval - (now % interval)
    return left < interval / 2 ? left + interval : left
  })

/** Waits until the next multiple of `interval`, see `untilNext`. */
export const nextTick = (interval: Duration.Input): Effect.Effect<void> =>
  Effect.flatMap(untilNext(Duration.toMillis(interval)), Effect.sleep)

/**
 * Runs `effect` now, and again at each multiple of `interval` on the monotonic clock until the scope closes. A failure or
 * defect is one line in the log and does not end the loop.
 */
export const every = <E, R>(interval: Duration.Input, name: string, effect: Effect.Effect<unknown, E, R>) =>
  Effect.forkScoped(Effect.forever(Effect.andThen(logged(name, effect), nextTick(interval))))

/**
 * Makes a function that has `effect` run soon, until the scope closes. Calls while it runs are one further run together.
 * A failure or defect is one line in the log.
 */
export const makeWake = Effect.fnUntraced(function* <E, R>(name: string, effect: Effect.Effect<unknown, E, R>) {
  const calls = yield* Queue.sliding<void>(1)
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Queue.take(calls), logged(name, effect))))
  return () => {
    Queue.offerUnsafe(calls, undefined)
  }
})
