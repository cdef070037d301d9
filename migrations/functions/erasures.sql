-- The messages of users who were deleted together with what they wrote: see delete_account.

-- Erases at most p_limit messages of a user in one conversation, each in the name of the user, with its event and a tombstone,
-- and notes how far it has come. Does nothing while another writer holds the head; a later step does it then. It goes through
-- the messages in the order of the index by sender.
CREATE OR REPLACE FUNCTION erase_messages_of(p_user_id uuid, p_conversation_id uuid, p_limit int)
RETURNS changed LANGUAGE plpgsql VOLATILE SET enable_seqscan = off AS $$
DECLARE
  result changed;
  message record;
  last text;
  looked_at int := 0;
BEGIN
  result.outcome := 'unchanged';
  PERFORM FROM conversation_heads h WHERE h.conversation_id = p_conversation_id FOR UPDATE SKIP LOCKED;
  -- Without a head the conversation is gone, and its messages with it.
  IF NOT FOUND AND EXISTS (SELECT FROM conversation_heads h WHERE h.conversation_id = p_conversation_id) THEN
    RETURN result;
  END IF;
  SELECT e.after INTO last FROM erasures e
    WHERE e.user_id = p_user_id AND e.conversation_id = p_conversation_id FOR UPDATE;
  IF NOT FOUND THEN RETURN result; END IF;
  FOR message IN
    SELECT m.seq, m.client_message_id, m.deleted_at FROM messages m
    WHERE m.conversation_id = p_conversation_id AND m.sender_id = p_user_id AND m.client_message_id > last
    ORDER BY m.client_message_id LIMIT p_limit
  LOOP
    looked_at := looked_at + 1;
    last := message.client_message_id;
    CONTINUE WHEN message.deleted_at IS NOT NULL;
    result.last_seq := erase_message(p_conversation_id, p_user_id, message.seq);
    result.first_seq := COALESCE(result.first_seq, result.last_seq);
  END LOOP;
  IF looked_at < p_limit THEN
    DELETE FROM erasures e WHERE e.user_id = p_user_id AND e.conversation_id = p_conversation_id;
  ELSE
    UPDATE erasures e SET after = last WHERE e.user_id = p_user_id AND e.conversation_id = p_conversation_id;
  END IF;
  IF result.first_seq IS NOT NULL THEN result.outcome := 'changed'; END IF;
  RETURN result;
END $$;
