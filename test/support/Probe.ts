import { Effect, Fiber } from "effect"
import { SqlClient } from "effect/sql"

/**
 * Makes a probe that answers within a second whether the database does. Interrupting a query on a frozen server takes
 * up to 7 s, so the query runs detached; at most one query runs at a time, and it holds at most one connection.
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
      flight?.pollUnsafe() === undefined && flight !== undefined ? flight : yield* Effect.forkDetach(query)
    flight = current
    return yield* Fiber.join(current).pipe(
      Effect.timeoutOrElse({ duration: "1 second", orElse: () => Effect.succeed(false) })
    )
  })
})
