import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** Each node says whether it has lost its bus: the others then look into the log more often. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`ALTER TABLE nodes ADD COLUMN cut_off boolean NOT NULL DEFAULT false`
})
