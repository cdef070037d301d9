-- The append of messages to the logs of their conversations.
--
-- These are functions, not statements: in READ COMMITTED a statement keeps the snapshot from before it waited for a
-- lock, while each statement inside a VOLATILE function takes a fresh one. So both functions first find out where the
-- sender is a member (what others send locks nothing, and takes as long as for a conversation that does not exist), lock
-- these heads (in the order of their ids), then look up known client message ids, members and reply targets, and then
-- allocate a seq only for a message that they insert.
--
-- Outcomes: stored · duplicate (the same request was stored before; the result describes that message) · reused (the
-- client message id belongs to another request) · not-a-member · blocked (by the other member of a DM) ·
-- no-reply-target · no-thread-root · no-attachment · locked (p_wait is false and another writer holds the head; nothing
-- was done for this entry).
--
-- A client message id is looked up by the expressions of the index messages_request_key alone. Two ids with the same 128
-- bits are taken for one: then the hash of the request differs, and the outcome is reused.

-- Appends one message: plain index lookups, without the set-based statement of append_messages. p_extra is null for a
-- plain message, which then costs nothing more; otherwise it is {threadRoot, names, payload, attachments, sources}, the
-- last two as bind_attachments takes them. A reply in a thread is numbered under the lock of the head. It marks the
-- thread as read up to itself for its sender, but not the conversation. The first message of a DM shows it to the member
-- who has not opened it, the user in shown_to; any other message costs nothing more for that.
CREATE OR REPLACE FUNCTION append_message(
  p_wait boolean, p_conversation_id uuid, p_sender_id uuid, p_id uuid, p_client_message_id text,
  p_request_hash bytea, p_type text, p_body text, p_reply_to uuid, p_extra json DEFAULT NULL
) RETURNS appended LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  head bigint;
  is_first boolean;
  visible bigint;
  is_blocked boolean;
  known record;
  payload json;
  attachments json;
  fed xid8;
  place xid8;
  result appended;
BEGIN
  result.ord := 1;
  PERFORM FROM conversation_members m
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_sender_id AND m.left_seq IS NULL;
  IF NOT FOUND THEN
    result.outcome := 'not-a-member';
    RETURN result;
  END IF;
  IF p_wait THEN
    SELECT h.seq, h.empty, h.feed_position INTO head, is_first, fed FROM conversation_heads h
      WHERE h.conversation_id = p_conversation_id FOR UPDATE;
  ELSE
    SELECT h.seq, h.empty, h.feed_position INTO head, is_first, fed FROM conversation_heads h
      WHERE h.conversation_id = p_conversation_id FOR UPDATE SKIP LOCKED;
    -- Two IFs: PL/pgSQL runs a condition with a subquery as a statement, for every message.
    IF head IS NULL THEN
      IF EXISTS (SELECT FROM conversation_heads h WHERE h.conversation_id = p_conversation_id) THEN
        result.outcome := 'locked';
        RETURN result;
      END IF;
    END IF;
  END IF;
  IF is_first THEN
    PERFORM FROM conversation_members m WHERE m.conversation_id = p_conversation_id
      ORDER BY m.user_id FOR NO KEY UPDATE;
  END IF;
  -- Every change of a membership that matters here holds the lock of the head too.
  SELECT m.visible_from_seq, m.blocked INTO visible, is_blocked FROM conversation_members m
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_sender_id AND m.left_seq IS NULL;
  IF visible IS NULL THEN
    result.outcome := 'not-a-member';
    RETURN result;
  END IF;
  SELECT m.id, m.seq, m.created_at, m.request_hash INTO known FROM messages m
    WHERE hashtextextended(m.client_message_id, uuid_hash_extended(m.conversation_id, 0))
        = hashtextextended(p_client_message_id, uuid_hash_extended(p_conversation_id, 0))
      AND hashtextextended(m.client_message_id, uuid_hash_extended(m.sender_id, 0))
        = hashtextextended(p_client_message_id, uuid_hash_extended(p_sender_id, 0));
  IF FOUND THEN
    result.outcome := CASE WHEN known.request_hash = p_request_hash THEN 'duplicate' ELSE 'reused' END;
    result.id := known.id;
    result.seq := known.seq;
    result.created_at := known.created_at;
    RETURN result;
  END IF;
  IF is_blocked THEN
    result.outcome := 'blocked';
    RETURN result;
  END IF;
  IF p_reply_to IS NOT NULL THEN
    SELECT m.seq, m.sender_id, excerpt(m.body), m.deleted_at IS NOT NULL
      INTO result.reply_seq, result.reply_sender_id, result.reply_excerpt, result.reply_deleted
      FROM (SELECT * FROM messages WHERE messages.id = p_reply_to OFFSET 0) m
      WHERE m.conversation_id = p_conversation_id AND m.seq >= visible;
    IF NOT FOUND THEN
      result.outcome := 'no-reply-target';
      RETURN result;
    END IF;
  END IF;
  IF p_extra IS NOT NULL THEN
    IF p_extra ->> 'threadRoot' IS NOT NULL THEN
      SELECT r.id, r.seq, r.thread_reply_count + 1
        INTO result.thread_root_id, result.thread_root_seq, result.thread_place
        FROM thread_root(p_conversation_id, visible, (p_extra ->> 'threadRoot')::uuid) root
        JOIN messages r ON r.id = message_at(p_conversation_id, root);
      IF NOT FOUND THEN
        result.outcome := 'no-thread-root';
        RETURN result;
      END IF;
    END IF;
    attachments := p_extra -> 'attachments';
    IF attachments IS NOT NULL THEN
      IF NOT bind_attachments(p_conversation_id, head + 1, p_sender_id, attachments, p_extra -> 'sources') THEN
        result.outcome := 'no-attachment';
        RETURN result;
      END IF;
    END IF;
    result.mentions := resolve_mentions(p_conversation_id, p_sender_id, p_extra -> 'names');
    payload := p_extra -> 'payload';
    IF p_type = 'poll' THEN
      result.votes := array_fill(0, ARRAY[json_array_length(payload -> 'options')]);
    END IF;
  END IF;
  result.outcome := 'stored';
  result.id := p_id;
  result.seq := head + 1;
  result.created_at := clock_timestamp();
  INSERT INTO messages (conversation_id, seq, id, sender_id, client_message_id, request_hash, type, body,
      reply_to_seq, thread_root_seq, created_at, changed_seq, thread_root_id, thread_place, mentions, payload, votes,
      attachments)
    VALUES (p_conversation_id, result.seq, p_id, p_sender_id, p_client_message_id, p_request_hash, p_type, p_body,
      result.reply_seq, result.thread_root_seq, result.created_at, result.seq, result.thread_root_id,
      result.thread_place, result.mentions, payload, result.votes, attachments);
  place := feed_position_after(fed);
  IF place <> fed THEN
    -- ON CONFLICT would insert in two steps, which cost as much again, and there is no such row yet.
    WITH moved AS (
      UPDATE conversation_heads h SET seq = result.seq, last_activity_at = result.created_at, empty = false,
          feed_position = place
        WHERE h.conversation_id = p_conversation_id
    )
    INSERT INTO change_feed (position, conversation_id, first_seq, last_seq)
      VALUES (place, p_conversation_id, result.seq, result.seq);
  ELSE
    WITH moved AS (
      UPDATE conversation_heads h SET seq = result.seq, last_activity_at = result.created_at, empty = false
        WHERE h.conversation_id = p_conversation_id
    )
    INSERT INTO change_feed (position, conversation_id, first_seq, last_seq)
      VALUES (place, p_conversation_id, result.seq, result.seq)
      ON CONFLICT (position, conversation_id) DO UPDATE SET last_seq = EXCLUDED.last_seq;
  END IF;
  IF is_first THEN
    result.shown_to := show_direct(p_conversation_id);
  END IF;
  IF result.mentions IS NOT NULL THEN
    PERFORM add_mentions(p_conversation_id, result.thread_root_seq, result.seq, result.mentions);
  END IF;
  IF result.thread_root_seq IS NOT NULL THEN
    UPDATE messages m SET thread_reply_count = result.thread_place, changed_seq = result.seq
      WHERE m.id = result.thread_root_id;
    INSERT INTO thread_members AS t (conversation_id, root_seq, user_id, read_seq, last_reply_seq)
      VALUES (p_conversation_id, result.thread_root_seq, p_sender_id, result.seq, result.seq)
      ON CONFLICT (conversation_id, root_seq, user_id) DO UPDATE
        SET read_seq = GREATEST(t.read_seq, EXCLUDED.read_seq), last_reply_seq = EXCLUDED.last_reply_seq;
    UPDATE conversation_members m SET wrote = true
      WHERE m.conversation_id = p_conversation_id AND m.user_id = p_sender_id AND NOT m.wrote;
    RETURN result;
  END IF;
  UPDATE conversation_members m SET read_seq = GREATEST(m.read_seq, result.seq), wrote = true
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_sender_id;
  RETURN result;
END $$;

-- Appends a batch over any number of conversations, in the order of the arrays within each conversation. A client
-- message id must not occur twice in one batch: the caller merges such entries first. When an entry has an extra
-- (p_extras is not null), and when the change feed may have a row of a conversation at this position already, the entries
-- are appended one by one, in the same transaction and under the same locks.
--
-- Nearly every batch is of plain messages, all of which can be stored. It takes two statements: the first looks up all
-- there is to know and locks the heads without waiting for any; the second writes. What the first one saw from before it
-- had the locks is checked by the second: the memberships where it moves their markers, and the client message ids by
-- their unique index. If one of them is no longer as it was, the batch fails, and the caller repeats it one by one.
--
-- The settings and the shape of the query keep its cost independent of the table statistics:
-- - Generic plans, because planning costs more than running. Such a plan may have been made while the tables were empty
--   and is kept, so it must be one of index lookups.
-- - OFFSET 0 leaves the planner a single index to choose: it takes an empty table to cost the same through each index.
-- - No CTE is joined with another one: without statistics that is a nested loop, quadratic in the batch.
-- - Members are updated in order, which is also the order in which mark_read locks them.
CREATE OR REPLACE FUNCTION append_messages(
  p_wait boolean, p_conversation_ids uuid[], p_sender_ids uuid[], p_ids uuid[], p_client_message_ids text[],
  p_request_hashes bytea[], p_types text[], p_bodies text[], p_reply_tos uuid[],
  p_extras json[] DEFAULT NULL
) RETURNS SETOF appended LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan
  SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  mine uuid[];
  locked uuid[];
  seqs bigint[];
  empty_ones uuid[];
  is_fed boolean;
  now timestamptz(3);
  one appended;
  marks bigint;
BEGIN
  -- The members of the first statement are looked up in LATERAL before their heads, so that others lock none.
  IF NOT p_wait AND p_extras IS NULL AND array_remove(p_reply_tos, NULL) = '{}' THEN
    SELECT array_agg(p.seq ORDER BY p.ord) INTO seqs FROM (
      SELECT e.ord, head.seq + row_number() OVER (PARTITION BY e.conversation_id ORDER BY e.ord) AS seq
      FROM unnest(p_conversation_ids, p_sender_ids, p_client_message_ids) WITH ORDINALITY
        AS e(conversation_id, sender_id, client_message_id, ord)
      CROSS JOIN LATERAL (
        SELECT m.conversation_id FROM conversation_members m
        WHERE m.conversation_id = e.conversation_id AND m.user_id = e.sender_id AND m.left_seq IS NULL AND NOT m.blocked
        LIMIT 1
      ) member
      CROSS JOIN LATERAL (
        SELECT h.seq, h.empty, h.feed_position FROM conversation_heads h
        WHERE h.conversation_id = member.conversation_id FOR UPDATE SKIP LOCKED
      ) head
      LEFT JOIN LATERAL (
        SELECT m.id FROM messages m
        WHERE hashtextextended(m.client_message_id, uuid_hash_extended(m.conversation_id, 0))
            = hashtextextended(e.client_message_id, uuid_hash_extended(e.conversation_id, 0))
          AND hashtextextended(m.client_message_id, uuid_hash_extended(m.sender_id, 0))
            = hashtextextended(e.client_message_id, uuid_hash_extended(e.sender_id, 0)) LIMIT 1
      ) known ON true
      WHERE NOT head.empty AND head.feed_position < pg_current_xact_id() AND known.id IS NULL) p;
    IF cardinality(seqs) = cardinality(p_ids) THEN
      now := clock_timestamp();
      WITH stored AS (
        INSERT INTO messages (conversation_id, seq, id, sender_id, client_message_id, request_hash, type, body,
          created_at, changed_seq)
        SELECT e.conversation_id, e.seq, e.id, e.sender_id, e.client_message_id, e.request_hash, e.type, e.body, now, e.seq
        FROM unnest(p_conversation_ids, p_sender_ids, p_ids, p_client_message_ids, p_request_hashes, p_types,
          p_bodies, seqs) AS e(conversation_id, sender_id, id, client_message_id, request_hash, type, body, seq)
      ), moved AS (
        UPDATE conversation_heads h SET seq = f.last_seq, last_activity_at = now, feed_position = pg_current_xact_id()
        FROM (SELECT e.conversation_id, min(e.seq) AS first_seq, max(e.seq) AS last_seq
          FROM unnest(p_conversation_ids, seqs) AS e(conversation_id, seq) GROUP BY e.conversation_id) f
        WHERE h.conversation_id = f.conversation_id
        RETURNING h.feed_position, h.conversation_id, f.first_seq, f.last_seq
      ), fed AS (
        INSERT INTO change_feed (position, conversation_id, first_seq, last_seq) SELECT * FROM moved
      ), marked AS (
        -- CASE, so that the planner has no index for the condition: it would read all members.
        UPDATE conversation_members m SET read_seq = GREATEST(m.read_seq, s.seq), wrote = true
        FROM (SELECT e.conversation_id, e.sender_id, max(e.seq) AS seq, count(*) AS messages
          FROM unnest(p_conversation_ids, p_sender_ids, seqs) AS e(conversation_id, sender_id, seq)
          GROUP BY e.conversation_id, e.sender_id ORDER BY e.conversation_id, e.sender_id) s
        WHERE m.conversation_id = s.conversation_id AND m.user_id = s.sender_id
          AND CASE WHEN m.left_seq IS NULL THEN NOT m.blocked ELSE false END
        RETURNING s.messages
      )
      SELECT sum(k.messages) INTO marks FROM marked k;
      IF marks IS DISTINCT FROM cardinality(p_ids) THEN
        RAISE EXCEPTION 'a membership changed before the head was locked';
      END IF;
      RETURN QUERY SELECT e.ord::int, 'stored', e.id, e.seq, now, NULL::bigint, NULL::uuid, NULL::text, NULL::boolean,
        NULL::uuid, NULL::bigint, NULL::int, NULL::uuid[], NULL::int[], NULL::uuid
        FROM unnest(p_ids, seqs) WITH ORDINALITY AS e(id, seq, ord);
      RETURN;
    END IF;
  END IF;
  SELECT array_agg(e.conversation_id) INTO mine
    FROM unnest(p_conversation_ids, p_sender_ids) AS e(conversation_id, sender_id)
    CROSS JOIN LATERAL (
      SELECT FROM conversation_members m
      WHERE m.conversation_id = e.conversation_id AND m.user_id = e.sender_id AND m.left_seq IS NULL LIMIT 1
    ) member;
  IF p_wait THEN
    SELECT array_agg(l.conversation_id), array_agg(l.seq), array_agg(l.conversation_id) FILTER (WHERE l.empty),
        bool_or(l.feed_position >= pg_current_xact_id())
      INTO locked, seqs, empty_ones, is_fed FROM (
      SELECT h.conversation_id, h.seq, h.empty, h.feed_position FROM conversation_heads h WHERE h.conversation_id = ANY (mine)
        ORDER BY h.conversation_id FOR UPDATE) l;
  ELSE
    SELECT array_agg(l.conversation_id), array_agg(l.seq), array_agg(l.conversation_id) FILTER (WHERE l.empty),
        bool_or(l.feed_position >= pg_current_xact_id())
      INTO locked, seqs, empty_ones, is_fed FROM (
      SELECT h.conversation_id, h.seq, h.empty, h.feed_position FROM conversation_heads h WHERE h.conversation_id = ANY (mine)
        ORDER BY h.conversation_id FOR UPDATE SKIP LOCKED) l;
  END IF;
  IF p_extras IS NOT NULL OR empty_ones IS NOT NULL OR is_fed THEN
    PERFORM FROM conversation_members m
      JOIN (
        SELECT e.conversation_id, e.user_id FROM unnest(p_conversation_ids, p_sender_ids) AS e(conversation_id, user_id)
          WHERE e.conversation_id = ANY (locked)
        UNION SELECT x.conversation_id, x.user_id FROM conversation_members x WHERE x.conversation_id = ANY (empty_ones)
      ) e ON m.conversation_id = e.conversation_id AND m.user_id = e.user_id
      ORDER BY m.conversation_id, m.user_id FOR NO KEY UPDATE OF m;
    FOR i IN 1 .. cardinality(p_ids) LOOP
      IF p_conversation_ids[i] = ANY (locked) THEN
        one := append_message(true, p_conversation_ids[i], p_sender_ids[i], p_ids[i], p_client_message_ids[i],
          p_request_hashes[i], p_types[i], p_bodies[i], p_reply_tos[i], p_extras[i]);
        one.ord := i;
      ELSE
        one := NULL;
        one.ord := i;
        one.outcome := CASE WHEN p_conversation_ids[i] = ANY (mine) THEN 'locked' ELSE 'not-a-member' END;
      END IF;
      RETURN NEXT one;
    END LOOP;
    RETURN;
  END IF;
  now := clock_timestamp();
  RETURN QUERY
  WITH checked AS (
    SELECT e.*, head.seq AS head_seq,
      known.id AS known_id, known.seq AS known_seq, known.created_at AS known_at,
      reply.seq AS reply_seq, reply.sender_id AS reply_sender_id, reply.excerpt AS reply_excerpt,
      reply.deleted AS reply_deleted,
      CASE
        WHEN head.seq IS NULL AND e.conversation_id = ANY (mine) THEN 'locked'
        WHEN head.seq IS NULL THEN 'not-a-member'
        WHEN member.visible_from_seq IS NULL THEN 'not-a-member'
        WHEN known.id IS NOT NULL AND known.request_hash = e.request_hash THEN 'duplicate'
        WHEN known.id IS NOT NULL THEN 'reused'
        WHEN member.blocked THEN 'blocked'
        WHEN e.reply_to IS NOT NULL AND reply.seq IS NULL THEN 'no-reply-target'
        ELSE 'stored'
      END AS outcome
    FROM unnest(p_conversation_ids, p_sender_ids, p_ids, p_client_message_ids, p_request_hashes, p_types,
      p_bodies, p_reply_tos) WITH ORDINALITY
      AS e(conversation_id, sender_id, id, client_message_id, request_hash, type, body, reply_to, ord)
    CROSS JOIN LATERAL (SELECT seqs[array_position(locked, e.conversation_id)] AS seq OFFSET 0) head
    LEFT JOIN LATERAL (
      SELECT m.visible_from_seq, m.blocked FROM conversation_members m
      WHERE m.conversation_id = e.conversation_id AND m.user_id = e.sender_id AND m.left_seq IS NULL LIMIT 1
    ) member ON true
    LEFT JOIN LATERAL (
      SELECT m.id, m.seq, m.created_at, m.request_hash FROM messages m
      WHERE hashtextextended(m.client_message_id, uuid_hash_extended(m.conversation_id, 0))
          = hashtextextended(e.client_message_id, uuid_hash_extended(e.conversation_id, 0))
        AND hashtextextended(m.client_message_id, uuid_hash_extended(m.sender_id, 0))
          = hashtextextended(e.client_message_id, uuid_hash_extended(e.sender_id, 0)) LIMIT 1
    ) known ON true
    LEFT JOIN LATERAL (
      SELECT m.seq, m.sender_id, excerpt(m.body) AS excerpt, m.deleted_at IS NOT NULL AS deleted
      FROM (SELECT * FROM messages WHERE messages.id = e.reply_to OFFSET 0) m
      WHERE m.conversation_id = e.conversation_id AND m.seq >= member.visible_from_seq
    ) reply ON true
  ), placed AS MATERIALIZED (
    SELECT c.*, c.head_seq + count(*) FILTER (WHERE c.outcome = 'stored')
      OVER (PARTITION BY c.conversation_id ORDER BY c.ord) AS seq
    FROM checked c
  ), stored AS (
    INSERT INTO messages (conversation_id, seq, id, sender_id, client_message_id, request_hash, type, body,
      reply_to_seq, created_at, changed_seq)
    SELECT p.conversation_id, p.seq, p.id, p.sender_id, p.client_message_id, p.request_hash, p.type, p.body,
      p.reply_seq, now, p.seq
    FROM placed p WHERE p.outcome = 'stored'
  ), moved AS (
    UPDATE conversation_heads h SET seq = f.last_seq, last_activity_at = now,
      feed_position = feed_position_after(h.feed_position)
    FROM (SELECT p.conversation_id, min(p.seq) AS first_seq, max(p.seq) AS last_seq FROM placed p
      WHERE p.outcome = 'stored' GROUP BY p.conversation_id) f
    WHERE h.conversation_id = f.conversation_id
    RETURNING h.feed_position, h.conversation_id, f.first_seq, f.last_seq
  ), fed AS (
    INSERT INTO change_feed (position, conversation_id, first_seq, last_seq) SELECT * FROM moved
  ), marked AS (
    UPDATE conversation_members m SET read_seq = GREATEST(m.read_seq, s.seq), wrote = true
    FROM (SELECT p.conversation_id, p.sender_id, max(p.seq) AS seq FROM placed p WHERE p.outcome = 'stored'
      GROUP BY p.conversation_id, p.sender_id ORDER BY p.conversation_id, p.sender_id) s
    WHERE m.conversation_id = s.conversation_id AND m.user_id = s.sender_id
  )
  SELECT p.ord::int, p.outcome,
    CASE WHEN p.outcome = 'stored' THEN p.id ELSE p.known_id END,
    CASE WHEN p.outcome = 'stored' THEN p.seq ELSE p.known_seq END,
    CASE WHEN p.outcome = 'stored' THEN now ELSE p.known_at END,
    p.reply_seq, p.reply_sender_id, p.reply_excerpt, p.reply_deleted, NULL::uuid, NULL::bigint, NULL::int,
    NULL::uuid[], NULL::int[], NULL::uuid
  FROM placed p ORDER BY p.ord;
END $$;
