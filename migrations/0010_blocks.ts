import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * Blocks. Who is blocked by the other one of a DM is marked in his own membership of it, where the append looks anyway:
 * so a block costs a send nothing. Blocking, unblocking and the start of a DM take turns per pair of users, or a DM that
 * is made while its peer blocks could miss the mark.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE blocks (
      user_id uuid NOT NULL REFERENCES users (id),
      blocked_id uuid NOT NULL REFERENCES users (id),
      user_seq bigint NOT NULL DEFAULT 0,
      created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
      PRIMARY KEY (user_id, blocked_id)
    )`

  yield* sql`ALTER TABLE conversation_members ADD COLUMN blocked boolean NOT NULL DEFAULT false`

  yield* sql`
    CREATE FUNCTION lock_pair(p_user_id uuid, p_other_id uuid) RETURNS void LANGUAGE sql VOLATILE AS $$
      SELECT pg_advisory_xact_lock(
        hashtextextended(LEAST(p_user_id, p_other_id)::text || GREATEST(p_user_id, p_other_id)::text, 0))
    $$`

  // Outcomes: changed · unchanged · no-user.
  yield* sql`
    CREATE FUNCTION set_block(p_user_id uuid, p_other_id uuid, p_blocked boolean)
    RETURNS text LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      dm uuid;
      own bigint;
    BEGIN
      PERFORM lock_pair(p_user_id, p_other_id);
      IF p_blocked THEN
        IF NOT EXISTS (SELECT FROM users u WHERE u.id = p_other_id AND u.deleted_at IS NULL) THEN
          RETURN 'no-user';
        END IF;
        INSERT INTO blocks (user_id, blocked_id) VALUES (p_user_id, p_other_id) ON CONFLICT DO NOTHING;
      ELSE
        DELETE FROM blocks WHERE user_id = p_user_id AND blocked_id = p_other_id;
      END IF;
      IF NOT FOUND THEN
        RETURN 'unchanged';
      END IF;
      SELECT d.conversation_id INTO dm FROM direct_conversations d
        WHERE d.user_low = LEAST(p_user_id, p_other_id) AND d.user_high = GREATEST(p_user_id, p_other_id);
      PERFORM FROM conversation_heads h WHERE h.conversation_id = dm FOR UPDATE;
      UPDATE conversation_members m SET blocked = p_blocked WHERE m.conversation_id = dm AND m.user_id = p_other_id;
      SELECT s.seq INTO own FROM next_user_seqs(ARRAY[p_user_id]) s;
      UPDATE blocks b SET user_seq = own WHERE b.user_id = p_user_id AND b.blocked_id = p_other_id;
      RETURN 'changed';
    END $$`

  // As in 0004, and whoever of the two is blocked by the other one is marked.
  yield* sql`
    CREATE OR REPLACE FUNCTION create_direct(p_id uuid, p_creator_id uuid, p_peer_id uuid)
    RETURNS TABLE (conversation_id uuid, created boolean) LANGUAGE plpgsql VOLATILE AS $$
    #variable_conflict use_column
    DECLARE
      low uuid := LEAST(p_creator_id, p_peer_id);
      high uuid := GREATEST(p_creator_id, p_peer_id);
    BEGIN
      RETURN QUERY SELECT d.conversation_id, false FROM direct_conversations d
        WHERE d.user_low = low AND d.user_high = high;
      IF FOUND THEN RETURN; END IF;
      PERFORM lock_pair(low, high);
      IF NOT EXISTS (SELECT FROM users u WHERE u.id = p_peer_id AND u.deleted_at IS NULL) THEN RETURN; END IF;
      INSERT INTO direct_conversations AS d (user_low, user_high, conversation_id) VALUES (low, high, p_id)
        ON CONFLICT (user_low, user_high) DO NOTHING;
      IF NOT FOUND THEN
        RETURN QUERY SELECT d.conversation_id, false FROM direct_conversations d
          WHERE d.user_low = low AND d.user_high = high;
        RETURN;
      END IF;
      PERFORM start_conversation(p_id, 'dm', NULL, NULL, p_creator_id,
        CASE WHEN low = high THEN ARRAY[low] ELSE ARRAY[low, high] END);
      UPDATE conversation_members m SET blocked = true FROM blocks b
        WHERE m.conversation_id = p_id AND m.user_id = b.blocked_id
          AND (b.user_id, b.blocked_id) IN ((low, high), (high, low));
      RETURN QUERY SELECT p_id, true;
    END $$`

  // What create_group was, which stays for nodes of the release before. Outcomes: made · known (a retry under its key) ·
  // reused (a key that stands for another request) · no-user · blocked (by one of the members).
  yield* sql`
    CREATE FUNCTION make_group(
      p_id uuid, p_creator_id uuid, p_title text, p_avatar_url text, p_member_ids uuid[], p_key text,
      p_request_hash bytea, OUT outcome text, OUT conversation_id uuid
    ) LANGUAGE plpgsql VOLATILE AS $$
    #variable_conflict use_column
    BEGIN
      IF p_key IS NOT NULL THEN
        SELECT CASE WHEN k.request_hash = p_request_hash THEN 'known' ELSE 'reused' END, k.result_id
          INTO outcome, conversation_id FROM idempotency_keys k
          WHERE k.user_id = p_creator_id AND k.key = p_key
            AND k.created_at >= clock_timestamp() - interval '24 hours';
        IF FOUND THEN RETURN; END IF;
      END IF;
      PERFORM FROM users u WHERE u.id = ANY (p_member_ids) ORDER BY u.id FOR SHARE;
      IF (SELECT count(*) FROM users u WHERE u.id = ANY (p_member_ids) AND u.deleted_at IS NULL)
        <> cardinality(p_member_ids) THEN
        outcome := 'no-user';
        RETURN;
      END IF;
      IF EXISTS (SELECT FROM blocks b WHERE b.user_id = ANY (p_member_ids) AND b.blocked_id = p_creator_id) THEN
        outcome := 'blocked';
        RETURN;
      END IF;
      IF p_key IS NOT NULL THEN
        INSERT INTO idempotency_keys AS k (user_id, key, request_hash, result_id)
          VALUES (p_creator_id, p_key, p_request_hash, p_id)
          ON CONFLICT (user_id, key) DO UPDATE
            SET request_hash = EXCLUDED.request_hash, result_id = EXCLUDED.result_id, created_at = EXCLUDED.created_at
            WHERE k.created_at < clock_timestamp() - interval '24 hours';
        IF NOT FOUND THEN
          SELECT CASE WHEN k.request_hash = p_request_hash THEN 'known' ELSE 'reused' END, k.result_id
            INTO outcome, conversation_id FROM idempotency_keys k WHERE k.user_id = p_creator_id AND k.key = p_key;
          RETURN;
        END IF;
      END IF;
      PERFORM start_conversation(p_id, 'group', p_title, p_avatar_url, p_creator_id, p_member_ids);
      outcome := 'made';
      conversation_id := p_id;
    END $$`

  // As in 0003 (see there), and one more outcome: blocked.
  yield* sql`
    CREATE OR REPLACE FUNCTION append_message(
      p_wait boolean, p_conversation_id uuid, p_sender_id uuid, p_id uuid, p_client_message_id text,
      p_request_hash bytea, p_type text, p_body text, p_reply_to uuid
    ) RETURNS appended LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      head bigint;
      visible bigint;
      is_blocked boolean;
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
      SELECT m.visible_from_seq, m.blocked INTO visible, is_blocked FROM conversation_members m
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
      IF is_blocked THEN
        result.outcome := 'blocked';
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

  yield* sql`
    CREATE OR REPLACE FUNCTION append_messages(
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
            WHEN member.blocked THEN 'blocked'
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
          SELECT m.visible_from_seq, m.blocked FROM conversation_members m
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
})
