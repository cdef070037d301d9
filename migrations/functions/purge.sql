-- Deletes rows that nothing can ask for, in small steps, so that no table grows without bound.

-- Deletes at most p_limit rows each of: idempotency keys older than idempotency_window(), ended sessions, unused cursors
-- and identities of closed accounts older than retention_period(), and what is left of deleted conversations (see
-- conversation_admin.sql). A deleted session counts as an ended one, and no node reads the ends of sessions that long
-- ago. Returns the largest number of rows that it deleted from one table, or 0 while another node purges. The array keeps
-- the planner from joining the old rows with the whole table.
CREATE OR REPLACE FUNCTION purge(p_limit int) RETURNS int LANGUAGE plpgsql VOLATILE SET enable_seqscan = off AS $$
DECLARE
  now timestamptz := clock_timestamp();
  most int := 0;
  deleted int;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('purge')) THEN RETURN 0; END IF;
  DELETE FROM idempotency_keys k WHERE k.ctid = ANY (ARRAY(
    SELECT x.ctid FROM idempotency_keys x WHERE x.created_at < now - idempotency_window()
    ORDER BY x.created_at LIMIT p_limit FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS deleted = ROW_COUNT;
  most := GREATEST(most, deleted);
  DELETE FROM sessions s WHERE s.id = ANY (ARRAY(
    SELECT x.id FROM sessions x WHERE LEAST(x.ended_at, x.expires_at) < now - retention_period()
    ORDER BY LEAST(x.ended_at, x.expires_at) LIMIT p_limit FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS deleted = ROW_COUNT;
  most := GREATEST(most, deleted);
  DELETE FROM event_cursors c WHERE c.id = ANY (ARRAY(
    SELECT x.id FROM event_cursors x WHERE x.used_at < now - retention_period()
    ORDER BY x.used_at LIMIT p_limit FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS deleted = ROW_COUNT;
  most := GREATEST(most, deleted);
  DELETE FROM external_identities e WHERE e.ctid = ANY (ARRAY(
    SELECT x.ctid FROM external_identities x WHERE x.closed_at < now - retention_period()
    ORDER BY x.closed_at LIMIT p_limit FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS deleted = ROW_COUNT;
  RETURN GREATEST(most, deleted, purge_conversation(p_limit));
END $$;
