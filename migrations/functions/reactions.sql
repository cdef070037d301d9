-- Reactions to messages: message_changes.sql lists the outcomes.

-- Adds a reaction. p_max is the number of different emoji that a message may have; one member gives it at most
-- max_reactions_of_member() of them.
CREATE OR REPLACE FUNCTION add_reaction(
  p_conversation_id uuid, p_actor_id uuid, p_message_id uuid, p_emoji text, p_max int
) RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  message record;
  known record;
  result changed;
BEGIN
  SELECT * INTO message FROM lock_message(p_conversation_id, p_actor_id, p_message_id);
  SELECT r.ord::int - 1 AS place, (r.value ->> 'count')::int AS count INTO known
    FROM jsonb_array_elements(message.reactions) WITH ORDINALITY AS r(value, ord)
    WHERE r.value ->> 'emoji' = p_emoji;
  result.outcome := CASE
    WHEN message.seq IS NULL THEN 'no-message'
    WHEN message.blocked THEN 'blocked'
    WHEN message.deleted THEN 'deleted'
    WHEN known.place IS NULL AND jsonb_array_length(message.reactions) >= p_max THEN 'too-many-reactions'
    ELSE 'changed' END;
  IF result.outcome <> 'changed' THEN RETURN result; END IF;
  INSERT INTO message_reactions (conversation_id, message_seq, user_id, emoji)
    SELECT p_conversation_id, message.seq, p_actor_id, p_emoji
    WHERE (SELECT count(*) FROM message_reactions r WHERE r.conversation_id = p_conversation_id
      AND r.message_seq = message.seq AND r.user_id = p_actor_id) < max_reactions_of_member()
    ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    result.outcome := CASE WHEN EXISTS (SELECT FROM message_reactions r WHERE r.conversation_id = p_conversation_id
      AND r.message_seq = message.seq AND r.user_id = p_actor_id AND r.emoji = p_emoji)
      THEN 'unchanged' ELSE 'too-many-reactions' END;
    RETURN result;
  END IF;
  UPDATE messages m SET reactions = CASE WHEN known.place IS NULL
      THEN COALESCE(m.reactions, '[]') || jsonb_build_object('emoji', p_emoji, 'count', 1)
      ELSE jsonb_set(m.reactions, ARRAY[known.place::text, 'count'], to_jsonb(known.count + 1)) END
    WHERE m.id = p_message_id;
  result.first_seq := add_event(p_conversation_id, 'reaction.added', p_actor_id, message.seq,
    jsonb_build_object('emoji', p_emoji, 'userId', p_actor_id, 'count', COALESCE(known.count, 0) + 1));
  result.last_seq := result.first_seq;
  RETURN result;
END $$;

-- Removes the actor's own reaction.
CREATE OR REPLACE FUNCTION remove_reaction(p_conversation_id uuid, p_actor_id uuid, p_message_id uuid, p_emoji text)
RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  message record;
  known record;
  result changed;
BEGIN
  SELECT * INTO message FROM lock_message(p_conversation_id, p_actor_id, p_message_id);
  IF message.seq IS NULL OR message.blocked THEN
    result.outcome := CASE WHEN message.blocked THEN 'blocked' ELSE 'no-message' END;
    RETURN result;
  END IF;
  DELETE FROM message_reactions r WHERE r.conversation_id = p_conversation_id AND r.message_seq = message.seq
    AND r.user_id = p_actor_id AND r.emoji = p_emoji;
  IF NOT FOUND THEN
    result.outcome := 'unchanged';
    RETURN result;
  END IF;
  SELECT r.ord::int - 1 AS place, (r.value ->> 'count')::int - 1 AS count INTO STRICT known
    FROM jsonb_array_elements(message.reactions) WITH ORDINALITY AS r(value, ord)
    WHERE r.value ->> 'emoji' = p_emoji;
  UPDATE messages m SET reactions = CASE WHEN known.count = 0
      THEN NULLIF(m.reactions - known.place, '[]')
      ELSE jsonb_set(m.reactions, ARRAY[known.place::text, 'count'], to_jsonb(known.count)) END
    WHERE m.id = p_message_id;
  result.outcome := 'changed';
  result.first_seq := add_event(p_conversation_id, 'reaction.removed', p_actor_id, message.seq,
    jsonb_build_object('emoji', p_emoji, 'userId', p_actor_id, 'count', known.count));
  result.last_seq := result.first_seq;
  RETURN result;
END $$;
