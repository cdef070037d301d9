import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * As in 0013, but an accent makes one letter with what it stands on, as a query has it: some keyboards write two
 * characters, which the parser takes apart.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    CREATE OR REPLACE FUNCTION searchable(p_body text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
      SELECT to_tsvector('simple', normalize(left(p_body, 100000), NFC))
    $$`
})
