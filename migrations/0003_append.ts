import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * The append of messages to their conversations' logs. Functions, not statements: in READ COMMITTED a statement keeps
 * the snapshot from before it waited for a lock, while in a VOLATILE function each inner statement sees afresh. So:
 * lock the heads first (in id order), then look up known ids, members and reply targets, then allocate a seq only for
 * what will be inserted. Every writer of a conversation locks its head before any other row of it.
 *
 * Outcomes: stored · duplicate · reused (a known id with another request) · not-a-member · no-reply-target ·
 * locked (another writer holds the head and p_wait is false; nothing was done for that entry).
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TYPE appended AS (
      ord int,
      outcome text,
      id uuid,
      seq bigint,
      created_at timestamptz(3),
      reply_seq bigint,
      reply_sender_id uuid,
      reply_excerpt text,
      reply_deleted boolean
    )`

  // A batch of one: plain index probes, none of the set machinery of append_messages.
  yield* sql`
    CREATE FUNCTION append_message(
      p_wait boolean, p_conversation_id uuid, p_sender_id uuid, p_id uuid, p_client_message_id text,
      p_request_hash bytea, p_type text, p_body text, p_reply_to uuid
    ) RETURNS appended LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      head bigint;
      visible bigint;
      known record;
      result appended;
    BEGIN
      result.ord := 1;
      IF p_wait THEN
        SELECT h.seq INTO head FROM conversation_heads h WHERE h.conversation_id = p_conversation_id FOR UPDATE;
      ELSE
        SELECT h.seq INTO head FROM conversation_heads h WHERE h.conversation_id = p_conversation_id
          FOR UPDATE SKIP LOCKED;
        IF head IS NULL AND EXISTS (SELECT FROM conversation_heads h WHERE h.conversation_id = p_conversation_id) THEN
          result.outcome := 'locked';
          RETURN result;
        END IF;
      END IF;
      SELECT m.visible_from_seq INTO visible FROM conversation_members m
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_sender_id AND m.left_seq IS NULL
        FOR NO KEY UPDATE;
      IF visible IS NULL THEN
        result.outcome := 'not-a-member';
        RETURN result;
      END IF;
      SELECT m.id, m.seq, m.created_at, m.request_hash INTO known FROM messages m
        WHERE m.conversation_id = p_conversation_id AND m.sender_id = p_sender_id
          AND m.client_message_id = p_client_message_id;
      IF FOUND THEN
        result.outcome := CASE WHEN known.request_hash = p_request_hash THEN 'duplicate' ELSE 'reused' END;
        result.id := known.id;
        result.seq := known.seq;
        result.created_at := known.created_at;
        RETURN result;
      END IF;
      IF p_reply_to IS NOT NULL THEN
        SELECT m.seq, m.sender_id, left(m.body, 140), m.deleted_at IS NOT NULL
          INTO result.reply_seq, result.reply_sender_id, result.reply_excerpt, result.reply_deleted
          FROM (SELECT * FROM messages WHERE messages.id = p_reply_to OFFSET 0) m
          WHERE m.conversation_id = p_conversation_id AND m.seq >= visible;
        IF NOT FOUND THEN
          result.outcome := 'no-reply-target';
          RETURN result;
        END IF;
      END IF;
      result.outcome := 'stored';
      result.id := p_id;
      result.seq := head + 1;
      result.created_at := clock_timestamp();
      INSERT INTO messages (conversation_id, seq, id, sender_id, client_message_id, request_hash, type, body,
          reply_to_seq, created_at, changed_seq)
        VALUES (p_conversation_id, result.seq, p_id, p_sender_id, p_client_message_id, p_request_hash, p_type, p_body,
          result.reply_seq, result.created_at, result.seq);
      UPDATE conversation_heads h SET seq = result.seq, last_activity_at = result.created_at
        WHERE h.conversation_id = p_conversation_id;
      UPDATE conversation_members m SET read_seq = GREATEST(m.read_seq, result.seq)
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_sender_id;
      RETURN result;
    END $$`

  // A batch, over any number of conversations, in the order of the arrays within each of them. An id must not stand
  // twice in one batch: the writer joins such entries first. Generic plans, since planning costs more than running; and
  // since such a plan is kept from when the tables were empty, it must be one of index probes whatever the statistics
  // say. The OFFSET 0 leaves it one index to choose: taken for empty, a table costs the same through each of them. No CTE
  // is joined with another: without statistics that is a nested loop, quadratic in the batch. Members are updated in
  // order, as mark_read locks them.
  yield* sql`
    CREATE FUNCTION append_messages(
      p_wait boolean, p_conversation_ids uuid[], p_sender_ids uuid[], p_ids uuid[], p_client_message_ids text[],
      p_request_hashes bytea[], p_types text[], p_bodies text[], p_reply_tos uuid[]
    ) RETURNS SETOF appended LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan
      SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    DECLARE
      locked uuid[];
      now timestamptz(3);
    BEGIN
      IF p_wait THEN
        SELECT array_agg(l.conversation_id) INTO locked FROM (
          SELECT h.conversation_id FROM conversation_heads h WHERE h.conversation_id = ANY (p_conversation_ids)
            ORDER BY h.conversation_id FOR UPDATE) l;
      ELSE
        SELECT array_agg(l.conversation_id) INTO locked FROM (
          SELECT h.conversation_id FROM conversation_heads h WHERE h.conversation_id = ANY (p_conversation_ids)
            ORDER BY h.conversation_id FOR UPDATE SKIP LOCKED) l;
      END IF;
      now := clock_timestamp();
      RETURN QUERY
      WITH checked AS MATERIALIZED (
        SELECT e.*, head.seq AS head_seq, known.id AS known_id, known.seq AS known_seq, known.created_at AS known_at,
          reply.seq AS reply_seq, reply.sender_id AS reply_sender_id, reply.excerpt AS reply_excerpt,
          reply.deleted AS reply_deleted,
          CASE
            WHEN head.seq IS NOT NULL AND NOT COALESCE(e.conversation_id = ANY (locked), false) THEN 'locked'
            WHEN member.visible_from_seq IS NULL THEN 'not-a-member'
            WHEN known.id IS NOT NULL AND known.request_hash = e.request_hash THEN 'duplicate'
            WHEN known.id IS NOT NULL THEN 'reused'
            WHEN e.reply_to IS NOT NULL AND reply.seq IS NULL THEN 'no-reply-target'
            ELSE 'stored'
          END AS outcome
        FROM unnest(p_conversation_ids, p_sender_ids, p_ids, p_client_message_ids, p_request_hashes, p_types,
          p_bodies, p_reply_tos) WITH ORDINALITY
          AS e(conversation_id, sender_id, id, client_message_id, request_hash, type, body, reply_to, ord)
        LEFT JOIN LATERAL (
          SELECT h.seq FROM conversation_heads h WHERE h.conversation_id = e.conversation_id LIMIT 1
        ) head ON true
        LEFT JOIN LATERAL (
          SELECT m.visible_from_seq FROM conversation_members m
          WHERE m.conversation_id = e.conversation_id AND m.user_id = e.sender_id AND m.left_seq IS NULL LIMIT 1
        ) member ON true
        LEFT JOIN LATERAL (
          SELECT m.id, m.seq, m.created_at, m.request_hash FROM messages m
          WHERE m.conversation_id = e.conversation_id AND m.sender_id = e.sender_id
            AND m.client_message_id = e.client_message_id LIMIT 1
        ) known ON true
        LEFT JOIN LATERAL (
          SELECT m.seq, m.sender_id, left(m.body, 140) AS excerpt, m.deleted_at IS NOT NULL AS deleted
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
        UPDATE conversation_heads h SET seq = f.seq, last_activity_at = now
        FROM (SELECT p.conversation_id, max(p.seq) AS seq FROM placed p WHERE p.outcome = 'stored'
          GROUP BY p.conversation_id) f
        WHERE h.conversation_id = f.conversation_id
      ), marked AS (
        UPDATE conversation_members m SET read_seq = GREATEST(m.read_seq, s.seq)
        FROM (SELECT p.conversation_id, p.sender_id, max(p.seq) AS seq FROM placed p WHERE p.outcome = 'stored'
          GROUP BY p.conversation_id, p.sender_id ORDER BY p.conversation_id, p.sender_id) s
        WHERE m.conversation_id = s.conversation_id AND m.user_id = s.sender_id
      )
      SELECT p.ord::int, p.outcome,
        CASE WHEN p.outcome = 'stored' THEN p.id ELSE p.known_id END,
        CASE WHEN p.outcome = 'stored' THEN p.seq ELSE p.known_seq END,
        CASE WHEN p.outcome = 'stored' THEN now ELSE p.known_at END,
        p.reply_seq, p.reply_sender_id, p.reply_excerpt, p.reply_deleted
      FROM placed p ORDER BY p.ord;
    END $$`

  // Read markers, a batch at a time; an entry that moves nothing takes no user seq. A (conversation, user) pair must
  // not stand twice in one batch. Rows come back for members only.
  yield* sql`
    CREATE FUNCTION mark_read(p_conversation_ids uuid[], p_user_ids uuid[], p_seqs bigint[], p_forces boolean[])
    RETURNS TABLE (ord int, read_seq bigint, user_seq bigint, changed boolean)
    LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
    #variable_conflict use_column
    BEGIN
      PERFORM FROM conversation_members m
        JOIN unnest(p_conversation_ids, p_user_ids) AS e(conversation_id, user_id)
          ON m.conversation_id = e.conversation_id AND m.user_id = e.user_id
        ORDER BY m.conversation_id, m.user_id FOR NO KEY UPDATE OF m;
      PERFORM FROM user_heads u WHERE u.user_id = ANY (p_user_ids) ORDER BY u.user_id FOR NO KEY UPDATE;
      RETURN QUERY
      WITH wanted AS MATERIALIZED (
        SELECT e.ord, e.conversation_id, e.user_id, m.read_seq AS old_seq,
          CASE WHEN e.force
            THEN LEAST(GREATEST(e.seq, m.visible_from_seq - 1), h.seq)
            ELSE GREATEST(m.read_seq, LEAST(e.seq, h.seq)) END AS new_seq
        FROM unnest(p_conversation_ids, p_user_ids, p_seqs, p_forces) WITH ORDINALITY
          AS e(conversation_id, user_id, seq, force, ord)
        JOIN conversation_members m
          ON m.conversation_id = e.conversation_id AND m.user_id = e.user_id AND m.left_seq IS NULL
        JOIN conversation_heads h ON h.conversation_id = e.conversation_id
      ), moved AS MATERIALIZED (
        SELECT w.*, row_number() OVER (PARTITION BY w.user_id ORDER BY w.ord) AS place
        FROM wanted w WHERE w.new_seq <> w.old_seq
      ), user_head AS (
        INSERT INTO user_heads AS u (user_id, seq)
        SELECT moved.user_id, max(moved.place) FROM moved GROUP BY moved.user_id ORDER BY moved.user_id
        ON CONFLICT (user_id) DO UPDATE SET seq = u.seq + EXCLUDED.seq
        RETURNING u.user_id, u.seq
      ), updated AS (
        UPDATE conversation_members m
        SET read_seq = v.new_seq, user_seq = user_head.seq - v.places + v.place
        FROM (SELECT moved.*, max(moved.place) OVER (PARTITION BY moved.user_id) AS places FROM moved) v
        JOIN user_head ON user_head.user_id = v.user_id
        WHERE m.conversation_id = v.conversation_id AND m.user_id = v.user_id
        RETURNING m.conversation_id, m.user_id, m.user_seq
      )
      SELECT w.ord::int, w.new_seq, u.user_seq, u.user_seq IS NOT NULL
      FROM wanted w LEFT JOIN updated u ON u.conversation_id = w.conversation_id AND u.user_id = w.user_id
      ORDER BY w.ord;
    END $$`
})
