-- Drafts: what users have begun to write.

-- Sets the user's draft in a conversation, or clears it when p_body is null. It is a function because it compares with
-- the stored draft after it has the lock. With p_if_user_seq it changes only a draft whose last change has no higher user
-- seq. Outcomes: changed · unchanged · not-a-member · draft-changed.
CREATE OR REPLACE FUNCTION put_draft(
  p_user_id uuid, p_conversation_id uuid, p_body text, p_reply_to uuid, p_if_user_seq bigint
) RETURNS TABLE (outcome text, updated_at timestamptz(3), user_seq bigint) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  now timestamptz(3) := clock_timestamp();
  old drafts;
BEGIN
  PERFORM FROM conversation_members m
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id AND m.left_seq IS NULL
    FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'not-a-member', now, NULL::bigint;
    RETURN;
  END IF;
  SELECT * INTO old FROM drafts d WHERE d.user_id = p_user_id AND d.conversation_id = p_conversation_id;
  IF old.body IS NOT DISTINCT FROM p_body AND old.reply_to IS NOT DISTINCT FROM p_reply_to THEN
    RETURN QUERY SELECT 'unchanged', now, old.user_seq;
    RETURN;
  END IF;
  IF old.user_seq > p_if_user_seq THEN
    RETURN QUERY SELECT 'draft-changed', now, old.user_seq;
    RETURN;
  END IF;
  INSERT INTO drafts (user_id, conversation_id, body, reply_to, updated_at, user_seq)
    SELECT p_user_id, p_conversation_id, p_body, p_reply_to, now, u.seq FROM next_user_seqs(ARRAY[p_user_id]) u
    ON CONFLICT (user_id, conversation_id) DO UPDATE SET body = EXCLUDED.body, reply_to = EXCLUDED.reply_to,
      updated_at = EXCLUDED.updated_at, user_seq = EXCLUDED.user_seq
    RETURNING drafts.user_seq INTO old.user_seq;
  RETURN QUERY SELECT 'changed', now, old.user_seq;
END $$;

-- For nodes of release 0.1.0.
CREATE OR REPLACE FUNCTION set_draft(p_user_id uuid, p_conversation_id uuid, p_body text, p_reply_to uuid)
RETURNS TABLE (outcome text, updated_at timestamptz(3)) LANGUAGE sql VOLATILE AS $$
  SELECT d.outcome, d.updated_at FROM put_draft(p_user_id, p_conversation_id, p_body, p_reply_to, NULL) d
$$;
