import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** Creating conversations: each a single call, so that no lock is ever held across round trips. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // The answer to a retried creation under the same Idempotency-Key, honoured for 24 hours.
  yield* sql`
    CREATE TABLE idempotency_keys (
      user_id uuid NOT NULL REFERENCES users (id),
      key text NOT NULL,
      request_hash bytea NOT NULL,
      result_id uuid NOT NULL,
      created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
      PRIMARY KEY (user_id, key)
    )`

  // The pair is taken before the conversation is made, so that the loser of a race makes nothing.
  yield* sql`
    ALTER TABLE direct_conversations
      ALTER CONSTRAINT direct_conversations_conversation_id_fkey DEFERRABLE INITIALLY DEFERRED`

  yield* sql`
    CREATE FUNCTION start_conversation(
      p_id uuid, p_kind text, p_title text, p_avatar_url text, p_creator_id uuid, p_member_ids uuid[]
    ) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      now timestamptz(3) := clock_timestamp();
    BEGIN
      INSERT INTO conversations (id, kind, title, avatar_url, created_by, created_at)
        VALUES (p_id, p_kind, p_title, p_avatar_url, p_creator_id, now);
      INSERT INTO conversation_heads (conversation_id, seq, last_activity_at) VALUES (p_id, 1, now);
      INSERT INTO conversation_events (conversation_id, seq, event, actor_id, at, data)
        VALUES (p_id, 1, 'conversation.created', p_creator_id, now, jsonb_build_object('kind', p_kind, 'title', p_title,
          'memberCount', cardinality(p_member_ids)));
      WITH user_head AS (
        INSERT INTO user_heads AS u (user_id, seq) SELECT id, 1 FROM unnest(p_member_ids) AS id ORDER BY id
        ON CONFLICT (user_id) DO UPDATE SET seq = u.seq + 1
        RETURNING u.user_id, u.seq
      )
      INSERT INTO conversation_members (conversation_id, user_id, role, joined_seq, visible_from_seq, joined_at,
        read_seq, delivered_seq, user_seq)
      SELECT p_id, user_head.user_id,
        CASE WHEN p_kind = 'group' AND user_head.user_id = p_creator_id THEN 'owner' ELSE 'member' END,
        1, 1, now, 0, 0, user_head.seq
      FROM user_head;
    END $$`

  // No row when there is no such user.
  yield* sql`
    CREATE FUNCTION create_direct(p_id uuid, p_creator_id uuid, p_peer_id uuid)
    RETURNS TABLE (conversation_id uuid, created boolean) LANGUAGE plpgsql VOLATILE AS $$
    #variable_conflict use_column
    DECLARE
      low uuid := LEAST(p_creator_id, p_peer_id);
      high uuid := GREATEST(p_creator_id, p_peer_id);
    BEGIN
      RETURN QUERY SELECT d.conversation_id, false FROM direct_conversations d
        WHERE d.user_low = low AND d.user_high = high;
      IF FOUND THEN RETURN; END IF;
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
      RETURN QUERY SELECT p_id, true;
    END $$`

  // No row when one of the members is not a user; conversation_id is null when the key stands for another request.
  yield* sql`
    CREATE FUNCTION create_group(
      p_id uuid, p_creator_id uuid, p_title text, p_avatar_url text, p_member_ids uuid[], p_key text,
      p_request_hash bytea
    ) RETURNS TABLE (conversation_id uuid, created boolean) LANGUAGE plpgsql VOLATILE AS $$
    #variable_conflict use_column
    BEGIN
      IF (SELECT count(*) FROM users u WHERE u.id = ANY (p_member_ids) AND u.deleted_at IS NULL)
        <> cardinality(p_member_ids) THEN RETURN; END IF;
      IF p_key IS NOT NULL THEN
        INSERT INTO idempotency_keys AS k (user_id, key, request_hash, result_id)
          VALUES (p_creator_id, p_key, p_request_hash, p_id)
          ON CONFLICT (user_id, key) DO UPDATE
            SET request_hash = EXCLUDED.request_hash, result_id = EXCLUDED.result_id, created_at = EXCLUDED.created_at
            WHERE k.created_at < clock_timestamp() - interval '24 hours';
        IF NOT FOUND THEN
          RETURN QUERY SELECT CASE WHEN k.request_hash = p_request_hash THEN k.result_id END, false
            FROM idempotency_keys k WHERE k.user_id = p_creator_id AND k.key = p_key;
          RETURN;
        END IF;
      END IF;
      PERFORM start_conversation(p_id, 'group', p_title, p_avatar_url, p_creator_id, p_member_ids);
      RETURN QUERY SELECT p_id, true;
    END $$`
})
