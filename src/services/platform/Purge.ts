import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { every } from "./Background.ts"
import { orUnavailable } from "./Sql.ts"

/** How many rows of a table one step deletes at most. */
const rows = 500

/** Deletes a few expired rows (migrations/functions/purge.sql says which); true when there are more. */
export const makePurge = Effect.map(SqlClient.SqlClient, (sql) =>
  sql<{ most: number }>`SELECT purge(${rows}::int) AS most`.pipe(
    Effect.map(([step]) => step?.most === rows),
    orUnavailable,
    Effect.withSpan("Purge.step")
  )
)

/** Deletes expired rows every ten minutes, in small steps with pauses between. One node at a time does it. */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const step = yield* makePurge
    const all = Effect.repeat(Effect.delay(step, "100 millis"), { while: (more) => more })
    yield* every("10 minutes", "the purge", all)
  })
)
