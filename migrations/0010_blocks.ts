import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * Blocks. Who is blocked by the other one of a DM is marked in his own membership of it, where the append looks anyway
 * (0012): so a block costs a send nothing. Blocking, unblocking and the start of a DM take turns per pair of users, or
 * a DM that is made while its peer blocks could miss the mark.
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
})
