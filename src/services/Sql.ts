import { Effect, Fiber, Predicate } from "effect"
import { SqlClient } from "effect/sql"
import { SqlError } from "effect/sql/SqlError"
import { Unavailable } from "../domain/Problem.ts"
import { untraced } from "./Tracing.ts"

/** The SQLSTATE that the server gave, or the code of the socket's error (`ECONNREFUSED`, …). */
export const sqlState = (reason: { readonly cause: unknown }): string | undefined =>
  Predicate.hasProperty(reason.cause, "code") && typeof reason.cause.code === "string" ? reason.cause.code : undefined

/**
 * SQLSTATEs that the driver does not class as retryable itself: out of connections, memory or disk (53), shutting down,
 * starting up or cancelled (57), errors of its system (58), the time-outs of an idle transaction, and a server that has
 * become read-only.
 */
const away = /^(53|57|58)|^(25P03|25P04|25006)$/

/** The database is away, timed out or was blocked: the same statement may succeed later. Anything else is our fault. */
export const isUnavailable = (error: SqlError): boolean =>
  error.reason.isRetryable || error.reason._tag === "AuthenticationError" || away.test(sqlState(error.reason) ?? "")

/** Nothing was committed and the same statement is likely to succeed at once: a deadlock or a lock time-out. */
export const isRetryable = (error: SqlError): boolean =>
  error.reason._tag === "DeadlockError" || error.reason._tag === "LockTimeoutError"

const isOther = <E>(error: E): error is Exclude<E, SqlError> => !(error instanceof SqlError)

/** The server ends a statement after 10 s by itself; only a connection that is dead at its other end takes longer. */
const longestStatement = "12 seconds"

const noAnswer = new Unavailable({ detail: "The database does not answer right now" })

/**
 * A database that is away, or whose connection is dead, becomes `Unavailable`; any other SQL error is a fault of ours,
 * and so a defect.
 */
export const orUnavailable = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, Exclude<E, SqlError> | Unavailable, R> =>
  self.pipe(
    Effect.catch((error): Effect.Effect<never, Exclude<E, SqlError> | Unavailable> => {
      if (isOther(error)) return Effect.fail(error)
      if (!(error instanceof SqlError) || !isUnavailable(error)) return Effect.die(error)
      return Effect.logDebug("database unavailable", { reason: error.reason._tag }).pipe(
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

/**
 * Makes a probe that tells within a second whether the database answers. Interrupting a query on a frozen server takes
 * up to 7 s, so the query runs detached; at most one is on its way, and it holds at most one connection.
 */
export const makeProbe: Effect.Effect<Effect.Effect<boolean>, never, SqlClient.SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const query = sql`SELECT 1`.pipe(
    Effect.as(true),
    Effect.catch(() => Effect.succeed(false))
  )
  let flight: Fiber.Fiber<boolean> | undefined
  return Effect.gen(function* () {
    const current =
      flight?.pollUnsafe() === undefined && flight !== undefined ? flight : yield* Effect.forkDetach(untraced(query))
    flight = current
    return yield* Fiber.join(current).pipe(
      Effect.timeoutOrElse({ duration: "1 second", orElse: () => Effect.succeed(false) })
    )
  })
})
