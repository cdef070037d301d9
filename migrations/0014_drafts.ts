import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** What users have begun to write, by conversation. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // A cleared draft has no body: its row tells devices that come back. user_seq is that of its last change.
  yield* sql`
    CREATE TABLE drafts (
      user_id uuid NOT NULL REFERENCES users (id),
      conversation_id uuid NOT NULL REFERENCES conversations (id),
      body text,
      reply_to uuid,
      updated_at timestamptz(3) NOT NULL,
      user_seq bigint NOT NULL,
      PRIMARY KEY (user_id, conversation_id)
    )`
  yield* sql`CREATE INDEX drafts_changed ON drafts (user_id, user_seq)`

  // Sets a draft, or clears it when p_body is null. A function, since what is there is compared after the lock.
  yield* sql`
    CREATE FUNCTION set_draft(p_user_id uuid, p_conversation_id uuid, p_body text, p_reply_to uuid)
    RETURNS TABLE (outcome text, updated_at timestamptz(3)) LANGUAGE plpgsql VOLATILE AS $$
    #variable_conflict use_column
    DECLARE
      now timestamptz(3) := clock_timestamp();
      old drafts;
    BEGIN
      PERFORM FROM conversation_members m
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id AND m.left_seq IS NULL
        FOR NO KEY UPDATE;
      IF NOT FOUND THEN
        RETURN QUERY SELECT 'not-a-member', now;
        RETURN;
      END IF;
      SELECT * INTO old FROM drafts d WHERE d.user_id = p_user_id AND d.conversation_id = p_conversation_id;
      IF old.body IS NOT DISTINCT FROM p_body AND old.reply_to IS NOT DISTINCT FROM p_reply_to THEN
        RETURN QUERY SELECT 'unchanged', now;
        RETURN;
      END IF;
      INSERT INTO drafts (user_id, conversation_id, body, reply_to, updated_at, user_seq)
        SELECT p_user_id, p_conversation_id, p_body, p_reply_to, now, u.seq FROM next_user_seqs(ARRAY[p_user_id]) u
        ON CONFLICT (user_id, conversation_id) DO UPDATE SET body = EXCLUDED.body, reply_to = EXCLUDED.reply_to,
          updated_at = EXCLUDED.updated_at, user_seq = EXCLUDED.user_seq;
      RETURN QUERY SELECT 'changed', now;
    END $$`
})
