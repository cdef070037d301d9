import { Cause, Effect } from "effect"
import { Internal } from "../../domain/Problem.ts"

/**
 * Turns a defect into an `Internal` problem whose id finds the cause in the log: `message` is the log line, and
 * `describe` gives the id and what else identifies the call. Failures pass through unchanged.
 */
export const hideDefects = <A, E, R, R2>(
  self: Effect.Effect<A, E, R>,
  message: string,
  describe: Effect.Effect<{ readonly id: string }, never, R2>
): Effect.Effect<A, E | Internal, R | R2> =>
  Effect.catchDefect(self, (defect) =>
    Effect.flatMap(describe, (ids) =>
      Effect.andThen(Effect.logError(message, Cause.die(defect), ids), Effect.fail(new Internal({ id: ids.id })))
    )
  )
