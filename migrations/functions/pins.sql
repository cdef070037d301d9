-- Pinning messages: message_changes.sql lists the outcomes.

-- Pins or unpins a message. In a DM both members may do so, in a group owners and admins.
CREATE OR REPLACE FUNCTION pin_message(p_conversation_id uuid, p_actor_id uuid, p_message_id uuid, p_pinned boolean)
RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  message record;
  result changed;
BEGIN
  SELECT * INTO message FROM lock_message(p_conversation_id, p_actor_id, p_message_id);
  result.outcome := CASE
    WHEN message.seq IS NULL THEN 'no-message'
    WHEN message.blocked THEN 'blocked'
    WHEN message.kind = 'group' AND message.role = 'member' THEN 'forbidden'
    WHEN message.pinned = p_pinned THEN 'unchanged'
    WHEN message.deleted THEN 'deleted'
    ELSE 'changed' END;
  IF result.outcome <> 'changed' THEN RETURN result; END IF;
  UPDATE messages m SET pinned_at = CASE WHEN p_pinned THEN clock_timestamp() END,
      pinned_by = CASE WHEN p_pinned THEN p_actor_id END
    WHERE m.id = p_message_id;
  result.first_seq := add_event(p_conversation_id,
    CASE WHEN p_pinned THEN 'message.pinned' ELSE 'message.unpinned' END, p_actor_id, message.seq, '{}');
  result.last_seq := result.first_seq;
  RETURN result;
END $$;
