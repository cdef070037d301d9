/**
 * What every statement needs. The row type of a statement (sql<Row>`…`) is not checked: decoding each row would cost too much
 * on the hot path. The contract suites, which run every statement on PostgreSQL, are what finds a column that is missing.
 */
import { Effect, Predicate } from "effect"
import { SqlError } from "effect/sql/SqlError"
import { Unavailable } from "../../domain/Problem.ts"

/** The SQLSTATE that the server gave, or the code of the socket's error (`ECONNREFUSED`, …). */
export const sqlState = (reason: { readonly cause: unknown }): string | undefined =>
  Predicate.hasProperty(reason.cause, "code") && typeof reason.cause.code === "string" ? reason.cause.code : undefined

/** The SQLSTATE of a role that may not do what it asks for. */
export const insufficientPrivilege = "42501"

/** The words of the server or the socket for a failure, in one line. They name no value of a statement. */
export const wordsOf = (reason: { readonly cause: unknown; readonly message: string }): string =>
  reason.cause instanceof Error && reason.cause.message !== ""
    ? reason.cause.message
    : (sqlState(reason) ?? reason.message)

/**
 * SQLSTATEs that the driver does not class as retryable itself: out of connections, memory or disk (53), shutting down,
 * starting up or cancelled (57), errors of its system (58), the time-outs of an idle transaction, and a server that has
 * become read-only.
 */
const down = /^(53|57|58)|^(25P03|25P04|25006)$/

/**
 * True when the database is down, admits no connection (whatever its reason), timed out or was blocked, so that the same
 * statement may succeed later. Any other failure is our fault.
 */
export const isUnavailable = (error: SqlError): boolean =>
  error.reason.operation === "connect" || error.reason.isRetryable || down.test(sqlState(error.reason) ?? "")

/**
 * True when nothing was committed and the same statement is likely to succeed at once: after a deadlock or a lock
 * time-out.
 */
export const isRetryable = (error: SqlError): boolean =>
  error.reason._tag === "DeadlockError" || error.reason._tag === "LockTimeoutError"

const isUndone = (error: unknown) => error instanceof SqlError && isRetryable(error)

/**
 * Repeats a statement, at most twice, that a deadlock or a lock time-out has undone; any other failure passes through.
 */
export const retryDeadlocks = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  // A schedule costs something for each statement, so it is made when the first one has failed.
  Effect.catch(self, (error) =>
    isUndone(error) ? Effect.retry(self, { while: isUndone, times: 1 }) : Effect.fail(error)
  )

const isOther = <E>(error: E): error is Exclude<E, SqlError> => !(error instanceof SqlError)

/** The server ends a statement after 10 s by itself; only a connection that is dead at its other end takes longer. */
const longestStatement = "12 seconds"

const noAnswer = new Unavailable({ detail: "The database does not answer right now" })

/**
 * Turns the failure of a database that is down, or whose connection is dead, into `Unavailable`. Any other SQL error is
 * a fault of ours, and so a defect.
 */
export const orUnavailable = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, Exclude<E, SqlError> | Unavailable, R> =>
  self.pipe(
    // A transaction whose connection ends cannot be rolled back either. That is a defect of `withTransaction`, and it makes
    // the failure before it a defect too, which is `Unavailable` already where a part of the transaction has come by here.
    Effect.catchDefect((defect) =>
      defect instanceof SqlError || defect instanceof Unavailable ? Effect.fail(defect) : Effect.die(defect)
    ),
    Effect.catch((error): Effect.Effect<never, Exclude<E, SqlError> | Unavailable> => {
      if (isOther(error)) return Effect.fail(error)
      if (!(error instanceof SqlError) || !isUnavailable(error)) return Effect.die(error)
      return Effect.logDebug("database unavailable", { reason: wordsOf(error.reason) }).pipe(
        Effect.andThen(Effect.fail(noAnswer))
      )
    }),
    Effect.timeoutOrElse({ duration: longestStatement, orElse: () => Effect.fail(noAnswer) })
  )

/**
 * An array parameter that may hold nothing but nulls, which the driver refuses since it infers the type from a value.
 * The statement must cast it: `${nullable(ids)}::uuid[]`.
 */
export const nullable = (values: ReadonlyArray<string | number | boolean | Date | Uint8Array | null>) =>
  values.length > 0 && values.every((value) => value === null) ? `{${values.map(() => "NULL").join()}}` : values

/** An array parameter of any safe integers: the driver refuses to mix those of 32 bits with larger ones. */
export const int8s = (values: ReadonlyArray<number>) => values.map(BigInt)
