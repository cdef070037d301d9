import { Cause, type Duration, Effect, Schedule } from "effect"
import { Unavailable } from "../domain/Problem.ts"

/**
 * Runs `effect` now and every so often until the scope closes, whatever happens to it: what it fails with, defects
 * included, is one line in the log and no end of the loop. That a dependency is away, `Readiness` has told.
 */
export const every = <E, R>(interval: Duration.Input, name: string, effect: Effect.Effect<unknown, E, R>) =>
  effect.pipe(
    Effect.catchIf(
      (error) => error instanceof Unavailable,
      () => Effect.void
    ),
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.logError(`${name} failed`, cause)
    ),
    Effect.repeat(Schedule.spaced(interval)),
    Effect.forkScoped
  )
