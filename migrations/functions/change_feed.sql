-- The change feed tells which logs have grown, in an order in which nothing is missed. Every function that gives out seqs
-- writes a row to it in the statement that moves the head: append_message, append_messages, add_event and
-- start_conversation. Consumers read the rows below the oldest transaction that is still open. A transaction that commits
-- late keeps everything from its id on waiting, so that none of its rows is passed over.

-- The position of the next row of a conversation whose last row had p_last. It is the id of this transaction, unless a later
-- one was quicker to lock the head: then this row joins or follows that one, which nobody can have read yet, since this
-- transaction is open. An id that this cluster has not given out yet is from before a dump was restored, and has no meaning.
CREATE OR REPLACE FUNCTION feed_position_after(p_last xid8) RETURNS xid8 LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN p_last > pg_current_xact_id() AND p_last < pg_snapshot_xmax(pg_current_snapshot()) THEN p_last
    ELSE pg_current_xact_id() END
$$;

-- The id of the cluster, which gives out the ids of transactions; '' where the role may not read it.
CREATE OR REPLACE FUNCTION cluster_id() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF NOT has_function_privilege('pg_control_system()', 'EXECUTE') THEN RETURN ''; END IF;
  RETURN (SELECT s.system_identifier::text FROM pg_control_system() s);
END $$;

-- True when the positions are ids of another cluster's transactions, because a dump was restored into this one. Where the id
-- of the cluster is not known, a consumer shows it that is ahead of all transactions; one that is behind misses nothing.
CREATE OR REPLACE FUNCTION feed_is_foreign() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT s.cluster NOT IN ('', cluster_id())
    OR EXISTS (SELECT FROM change_feed_consumers c WHERE c.position > pg_snapshot_xmax(pg_current_snapshot()))
  FROM change_feed_state s
$$;

-- Numbers the feed anew after a dump was restored. Every row that is there goes before all later ones, merged with the others
-- of its conversation, and each consumer begins with these: it sees again what was not purged, and misses nothing. Writers
-- wait meanwhile; the feed is short, unless a consumer stands still.
CREATE OR REPLACE FUNCTION renumber_feed() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  nowhere CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
BEGIN
  LOCK TABLE change_feed IN SHARE ROW EXCLUSIVE MODE;
  IF NOT feed_is_foreign() THEN RETURN; END IF;
  WITH gone AS (DELETE FROM change_feed f RETURNING f.conversation_id, f.first_seq, f.last_seq)
  INSERT INTO change_feed (position, conversation_id, first_seq, last_seq)
    SELECT '1', g.conversation_id, min(g.first_seq), max(g.last_seq) FROM gone g GROUP BY g.conversation_id;
  UPDATE change_feed_consumers SET position = '0', conversation_id = nowhere;
  UPDATE change_feed_state SET position = '0', conversation_id = nowhere, cluster = cluster_id();
END $$;

-- The next rows for a consumer, at most p_most, in their order. Returns none while another transaction has taken rows for the
-- same consumer. A consumer that is new begins with what is written from now on.
CREATE OR REPLACE FUNCTION take_changes(p_consumer text, p_most int)
RETURNS TABLE ("position" xid8, conversation_id uuid, first_seq bigint, last_seq bigint)
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
  done change_feed_consumers;
BEGIN
  -- A statement of its own, because one that raced sees what was before it.
  IF NOT pg_try_advisory_xact_lock(hashtext('change_feed'), hashtext(p_consumer)) THEN RETURN; END IF;
  IF feed_is_foreign() THEN PERFORM renumber_feed(); END IF;
  SELECT * INTO done FROM change_feed_consumers c WHERE c.name = p_consumer;
  IF NOT FOUND THEN
    UPDATE change_feed_state SET cluster = cluster_id() WHERE cluster = '' AND cluster_id() <> '';
    INSERT INTO change_feed_consumers (name, position, conversation_id) VALUES (p_consumer,
      pg_snapshot_xmin(pg_current_snapshot()), '00000000-0000-0000-0000-000000000000');
    RETURN;
  END IF;
  RETURN QUERY SELECT f.position, f.conversation_id, f.first_seq, f.last_seq FROM change_feed f
    WHERE (f.position, f.conversation_id) > (done.position, done.conversation_id)
      AND f.position < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY f.position, f.conversation_id LIMIT p_most;
END $$;

-- Moves a consumer, whose rows this transaction has taken, to the last one that it has done. Deletes at most p_purge rows
-- that all consumers have done; another transaction that does the same leaves its rows to a later call.
CREATE OR REPLACE FUNCTION move_consumer(p_consumer text, p_position xid8, p_conversation_id uuid, p_purge int)
RETURNS void LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
  purged change_feed_state;
  slowest change_feed_consumers;
BEGIN
  UPDATE change_feed_consumers c SET position = p_position, conversation_id = p_conversation_id
    WHERE c.name = p_consumer;
  SELECT * INTO purged FROM change_feed_state FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN; END IF;
  SELECT * INTO slowest FROM change_feed_consumers c ORDER BY c.position, c.conversation_id LIMIT 1;
  WITH old AS MATERIALIZED (
    SELECT f.ctid, f.position, f.conversation_id FROM change_feed f
    WHERE (f.position, f.conversation_id) > (purged.position, purged.conversation_id)
      AND (f.position, f.conversation_id) <= (slowest.position, slowest.conversation_id)
    ORDER BY f.position, f.conversation_id LIMIT p_purge
  ), gone AS (
    DELETE FROM change_feed f WHERE f.ctid = ANY (ARRAY(SELECT o.ctid FROM old o))
  )
  SELECT o.position, o.conversation_id INTO slowest.position, slowest.conversation_id FROM old o
    ORDER BY o.position DESC, o.conversation_id DESC LIMIT 1;
  IF FOUND THEN
    UPDATE change_feed_state SET position = slowest.position, conversation_id = slowest.conversation_id;
  END IF;
END $$;

-- Where a consumer stands, as a text that changes when it moves, and what it waits for: nothing (NULL), itself (ready), or
-- the end of an older transaction (held).
CREATE OR REPLACE FUNCTION consumer_state(p_consumer text, OUT place text, OUT waits text)
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
  done change_feed_consumers;
  first xid8;
BEGIN
  SELECT * INTO done FROM change_feed_consumers c WHERE c.name = p_consumer;
  IF NOT FOUND OR feed_is_foreign() THEN
    place := '';
    waits := 'ready';
    RETURN;
  END IF;
  place := done.position || ' ' || done.conversation_id;
  SELECT f.position INTO first FROM change_feed f
    WHERE (f.position, f.conversation_id) > (done.position, done.conversation_id)
    ORDER BY f.position, f.conversation_id LIMIT 1;
  IF FOUND THEN
    waits := CASE WHEN first < pg_snapshot_xmin(pg_current_snapshot()) THEN 'ready' ELSE 'held' END;
  END IF;
END $$;
