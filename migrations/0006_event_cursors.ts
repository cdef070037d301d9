import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** What a stream of Server-Sent Events had seen when it was opened: its ids name a row here and what came after. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE event_cursors (
      id uuid PRIMARY KEY,
      user_id uuid NOT NULL REFERENCES users (id),
      conversation_ids uuid[] NOT NULL,
      seqs bigint[] NOT NULL,
      user_seq bigint NOT NULL,
      used_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
    )`
  yield* sql`CREATE INDEX event_cursors_used ON event_cursors (used_at)`
})
