import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { every } from "./Background.ts"
import { orUnavailable } from "./Sql.ts"

/** How many rows of a table a step deletes. */
const rows = 500

/** Deletes a few rows of what is over (migration 0021 says what that is); true when there is more. */
export const makePurge = Effect.map(SqlClient.SqlClient, (sql) =>
  sql<{ most: number }>`SELECT purge(${rows}::int) AS most`.pipe(
    Effect.map(([step]) => step?.most === rows),
    orUnavailable,
    Effect.withSpan("Purge.step")
  )
)

/** Deletes what is over, every ten minutes, in small steps with pauses between; one node does it at a time. */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const step = yield* makePurge
    const all = Effect.repeat(Effect.delay(step, "100 millis"), { while: (more) => more })
    yield* every("10 minutes", "the purge", all)
  })
)
