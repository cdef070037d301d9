import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // How many members a conversation has is asked for each of a list, and is answered from the index alone.
  yield* sql`
    CREATE INDEX conversation_members_living ON conversation_members (conversation_id) WHERE left_seq IS NULL`
})
