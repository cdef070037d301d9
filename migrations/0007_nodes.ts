import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** The nodes that are alive: each announces itself, so that a node without a bus notices that it is not alone. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE nodes (
      id uuid PRIMARY KEY,
      bus text NOT NULL,
      started_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
      seen_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
    )`
})
