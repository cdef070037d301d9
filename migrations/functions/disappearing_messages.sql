-- Disappearing messages. A message has the lifetime that was set when it was sent. Its seq and the spans in
-- message_lifetimes tell which one that was, so that the append need not know of lifetimes.

-- Deletes at most p_limit expired messages of one conversation, each in the name of its sender. Does nothing while
-- another writer holds the head; a later step does it then.
CREATE OR REPLACE FUNCTION expire_messages(p_conversation_id uuid, p_limit int)
RETURNS changed LANGUAGE plpgsql VOLATILE SET enable_seqscan = off AS $$
DECLARE
  result changed;
  lifetime message_lifetimes;
  message record;
BEGIN
  result.outcome := 'unchanged';
  PERFORM FROM conversation_heads h WHERE h.conversation_id = p_conversation_id FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN result; END IF;
  SELECT * INTO lifetime FROM message_lifetimes l
    WHERE l.conversation_id = p_conversation_id AND l.next_at <= clock_timestamp() ORDER BY l.from_seq LIMIT 1;
  IF NOT FOUND THEN RETURN result; END IF;
  lifetime.next_at := clock_timestamp() + make_interval(secs => lifetime.seconds);
  FOR message IN
    SELECT m.seq, m.sender_id, m.deleted_at, m.created_at + make_interval(secs => lifetime.seconds) AS ends_at,
      row_number() OVER (ORDER BY m.seq) AS place
    FROM messages m
    WHERE m.conversation_id = p_conversation_id AND m.seq > lifetime.done_seq
      AND m.seq <= COALESCE(lifetime.through_seq, 9223372036854775807)
    ORDER BY m.seq LIMIT p_limit + 1
  LOOP
    lifetime.next_at := message.ends_at;
    EXIT WHEN message.ends_at > clock_timestamp() OR message.place > p_limit;
    lifetime.next_at := clock_timestamp() + make_interval(secs => lifetime.seconds);
    lifetime.done_seq := message.seq;
    IF message.deleted_at IS NULL THEN
      result.outcome := 'changed';
      result.last_seq := erase_message(p_conversation_id, message.sender_id, message.seq);
      result.first_seq := COALESCE(result.first_seq, result.last_seq);
    END IF;
  END LOOP;
  UPDATE message_lifetimes l SET done_seq = lifetime.done_seq, next_at = lifetime.next_at
    WHERE l.conversation_id = p_conversation_id AND l.from_seq = lifetime.from_seq;
  DELETE FROM message_lifetimes l
    WHERE l.conversation_id = p_conversation_id AND l.from_seq = lifetime.from_seq AND NOT EXISTS (
      SELECT FROM messages m WHERE m.conversation_id = p_conversation_id AND m.seq > l.done_seq
        AND m.seq <= l.through_seq)
      AND l.through_seq IS NOT NULL;
  RETURN result;
END $$;
