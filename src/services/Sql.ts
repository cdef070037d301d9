import { Effect } from "effect"
import { SqlError } from "effect/sql/SqlError"
import { Unavailable } from "../domain/Problem.ts"

/** The database is away, timed out or was blocked: the same statement may succeed later. */
export const isUnavailable = (error: SqlError) => error.reason.isRetryable

/** Nothing was committed and the same statement is likely to succeed at once: a deadlock or a lock time-out. */
export const isRetryable = (error: SqlError) =>
  error.reason._tag === "DeadlockError" || error.reason._tag === "LockTimeoutError"

const isOther = <E>(error: E): error is Exclude<E, SqlError> => !(error instanceof SqlError)

/** A database that is away becomes `Unavailable`; any other SQL error is a fault of ours, and so a defect. */
export const orUnavailable = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, Exclude<E, SqlError> | Unavailable, R> =>
  Effect.catch(self, (error): Effect.Effect<never, Exclude<E, SqlError> | Unavailable> => {
    if (isOther(error)) return Effect.fail(error)
    if (!(error instanceof SqlError) || !isUnavailable(error)) return Effect.die(error)
    return Effect.logWarning("database unavailable", { reason: error.reason._tag }).pipe(
      Effect.andThen(Effect.fail(new Unavailable({ detail: "The database does not answer right now" })))
    )
  })
