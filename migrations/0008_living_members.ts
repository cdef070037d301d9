import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // How many members a conversation has is asked for each of a list, and is answered from the index alone.
  // user_id is in it for those who look for one member: on a new database any index on conversation_id costs the same,
  // and this one would read the whole group.
  yield* sql`
    CREATE INDEX conversation_members_living ON conversation_members (conversation_id, user_id) WHERE left_seq IS NULL`
})
