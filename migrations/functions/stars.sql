-- Stars: the messages that users have saved for themselves.

-- Saves a message for the actor alone, or takes that back. It takes no seq of the log and does not lock the head. The
-- lock on the membership serializes the actor's own devices, so that the comparison with the stored star holds. A
-- deleted message can be taken back but not saved. OFFSET 0 leaves the planner the index on the id, as in
-- append_message. Outcomes: changed · unchanged · no-message (also for non-members) · deleted.
CREATE OR REPLACE FUNCTION star_message(p_conversation_id uuid, p_actor_id uuid, p_message_id uuid, p_starred boolean)
RETURNS TABLE (outcome text, message_seq bigint) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  visible bigint;
  message record;
  was boolean;
BEGIN
  SELECT m.visible_from_seq INTO visible FROM conversation_members m
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_actor_id AND m.left_seq IS NULL
    FOR NO KEY UPDATE;
  SELECT m.seq, m.deleted_at IS NOT NULL AS deleted INTO message
    FROM (SELECT * FROM messages WHERE messages.id = p_message_id OFFSET 0) m
    WHERE m.conversation_id = p_conversation_id AND m.seq >= visible;
  SELECT s.starred INTO was FROM stars s
    WHERE s.user_id = p_actor_id AND s.conversation_id = p_conversation_id AND s.message_seq = message.seq;
  outcome := CASE
    WHEN message.seq IS NULL THEN 'no-message'
    WHEN COALESCE(was, false) = p_starred THEN 'unchanged'
    WHEN message.deleted AND p_starred THEN 'deleted'
    ELSE 'changed' END;
  IF outcome = 'changed' THEN
    INSERT INTO stars (user_id, conversation_id, message_seq, message_id, starred, user_seq)
      SELECT p_actor_id, p_conversation_id, message.seq, p_message_id, p_starred, u.seq
      FROM next_user_seqs(ARRAY[p_actor_id]) u
      ON CONFLICT (user_id, conversation_id, message_seq)
        DO UPDATE SET starred = EXCLUDED.starred, user_seq = EXCLUDED.user_seq;
  END IF;
  RETURN QUERY SELECT outcome, message.seq::bigint;
END $$;
