import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** What nobody can ask for any more is deleted in small steps, so that nothing grows for ever. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at)`
  // LEAST leaves out the null of a session that was not ended.
  yield* sql`CREATE INDEX sessions_over ON sessions (LEAST(ended_at, expires_at))`

  // At most p_limit rows of each: keys after the day for which they are honoured, cursors of streams and sessions after
  // 30 days. A session that is gone is the same as one that has ended, and no node reads its end a month later.
  // Answers with how many rows of one table there were at most; 0 while another node does it.
  yield* sql`
    CREATE FUNCTION purge(p_limit int) RETURNS int LANGUAGE plpgsql VOLATILE SET enable_seqscan = off AS $$
    DECLARE
      most int := 0;
      deleted int;
    BEGIN
      IF NOT pg_try_advisory_xact_lock(hashtext('purge')) THEN RETURN 0; END IF;
      DELETE FROM idempotency_keys k USING (
        SELECT x.user_id, x.key FROM idempotency_keys x WHERE x.created_at < clock_timestamp() - interval '24 hours'
        ORDER BY x.created_at LIMIT p_limit FOR UPDATE SKIP LOCKED
      ) old WHERE k.user_id = old.user_id AND k.key = old.key;
      GET DIAGNOSTICS deleted = ROW_COUNT;
      most := GREATEST(most, deleted);
      DELETE FROM sessions s USING (
        SELECT x.id FROM sessions x WHERE LEAST(x.ended_at, x.expires_at) < clock_timestamp() - interval '30 days'
        ORDER BY LEAST(x.ended_at, x.expires_at) LIMIT p_limit FOR UPDATE SKIP LOCKED
      ) old WHERE s.id = old.id;
      GET DIAGNOSTICS deleted = ROW_COUNT;
      most := GREATEST(most, deleted);
      DELETE FROM event_cursors c USING (
        SELECT x.id FROM event_cursors x WHERE x.used_at < clock_timestamp() - interval '30 days'
        ORDER BY x.used_at LIMIT p_limit FOR UPDATE SKIP LOCKED
      ) old WHERE c.id = old.id;
      GET DIAGNOSTICS deleted = ROW_COUNT;
      RETURN GREATEST(most, deleted);
    END $$`
})
