-- Editing, deleting and hiding messages: see changes.sql for the pattern.
--
-- Outcomes here and in pins.sql and reactions.sql: changed · unchanged · no-message (also for non-members, so that they
-- cannot tell whether it exists) · forbidden · blocked (see is_blocked) · too-late · deleted · blank · too-many-edits ·
-- too-many-reactions.

-- Locks the head and returns the message as the actor may see it, with the actor's role; returns no row when the actor
-- may not see it. OFFSET 0 leaves the planner the index on the id, as in append_message.
CREATE OR REPLACE FUNCTION lock_message(p_conversation_id uuid, p_actor_id uuid, p_message_id uuid)
RETURNS TABLE (
  kind text, role text, seq bigint, sender_id uuid, type text, body text, written_at timestamptz, sent_at timestamptz,
  revision int, deleted boolean, pinned boolean, reactions jsonb, blocked boolean
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  me record;
BEGIN
  SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
  IF NOT FOUND THEN RETURN; END IF;
  RETURN QUERY SELECT me.kind, me.role, m.seq, m.sender_id, m.type, m.body, COALESCE(m.edited_at, m.created_at),
      m.created_at, m.revision, m.deleted_at IS NOT NULL, m.pinned_at IS NOT NULL, m.reactions,
      is_blocked(p_conversation_id, p_actor_id)
    FROM (SELECT * FROM messages WHERE messages.id = p_message_id OFFSET 0) m
    WHERE m.conversation_id = p_conversation_id AND m.seq >= me.visible_from_seq;
END $$;

-- Edits a message, whose mentions become those of the new body. Edits are allowed for p_window_ms milliseconds after
-- the message was sent, or forever when it is 0, and max_edits() times. An edit that repeats the current body is
-- unchanged and never too late.
CREATE OR REPLACE FUNCTION edit_body(
  p_conversation_id uuid, p_actor_id uuid, p_message_id uuid, p_body text, p_is_blank boolean, p_names json,
  p_window_ms bigint
) RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  message record;
  result changed;
BEGIN
  SELECT * INTO message FROM lock_message(p_conversation_id, p_actor_id, p_message_id);
  result.outcome := CASE
    WHEN message.seq IS NULL THEN 'no-message'
    WHEN message.blocked THEN 'blocked'
    WHEN message.sender_id <> p_actor_id OR message.type = 'system' THEN 'forbidden'
    WHEN message.deleted THEN 'deleted'
    WHEN message.type = 'text' AND p_is_blank THEN 'blank'
    WHEN message.body = p_body THEN 'unchanged'
    WHEN p_window_ms > 0 AND clock_timestamp() > message.sent_at + p_window_ms * interval '1 millisecond'
      THEN 'too-late'
    WHEN message.revision > max_edits() THEN 'too-many-edits'
    ELSE 'changed' END;
  IF result.outcome <> 'changed' THEN RETURN result; END IF;
  INSERT INTO message_revisions (conversation_id, message_seq, revision, body, created_at)
    VALUES (p_conversation_id, message.seq, message.revision, message.body, message.written_at);
  UPDATE messages m SET body = p_body, edited_at = clock_timestamp(), revision = m.revision + 1
    WHERE m.id = p_message_id;
  PERFORM set_mentions(p_conversation_id, message.seq, resolve_mentions(p_conversation_id, p_actor_id, p_names));
  result.first_seq := add_event(p_conversation_id, 'message.edited', p_actor_id, message.seq, '{}');
  result.last_seq := result.first_seq;
  RETURN result;
END $$;

-- For nodes of release 0.1.0, which do not know the outcome too-many-edits.
CREATE OR REPLACE FUNCTION edit_message(
  p_conversation_id uuid, p_actor_id uuid, p_message_id uuid, p_body text, p_is_blank boolean, p_names json,
  p_window_ms bigint
) RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  result changed;
BEGIN
  result := edit_body(p_conversation_id, p_actor_id, p_message_id, p_body, p_is_blank, p_names, p_window_ms);
  IF result.outcome = 'too-many-edits' THEN result.outcome := 'too-late'; END IF;
  RETURN result;
END $$;

-- Erases a message with its earlier bodies, attachments, reactions, votes, mentions and pin, and returns the seq of the
-- event. The row stays, so that a retry of its send still gets the original answer. It was deleted at the time of the
-- event, since that is the only time that clients are told. The caller holds the lock of the head.
CREATE OR REPLACE FUNCTION erase_message(p_conversation_id uuid, p_actor_id uuid, p_seq bigint)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  event_seq bigint;
BEGIN
  DELETE FROM message_revisions r WHERE r.conversation_id = p_conversation_id AND r.message_seq = p_seq;
  DELETE FROM message_reactions r WHERE r.conversation_id = p_conversation_id AND r.message_seq = p_seq;
  DELETE FROM poll_votes v WHERE v.conversation_id = p_conversation_id AND v.message_seq = p_seq;
  PERFORM drop_attachments_of(p_conversation_id, p_seq);
  PERFORM set_mentions(p_conversation_id, p_seq, NULL);
  event_seq := add_event(p_conversation_id, 'message.deleted', p_actor_id, p_seq, '{}');
  UPDATE messages m SET body = '', payload = NULL, attachments = NULL, votes = NULL, reactions = NULL,
      pinned_at = NULL, pinned_by = NULL, deleted_at = (SELECT e.at FROM conversation_events e
        WHERE e.conversation_id = p_conversation_id AND e.seq = event_seq)
    WHERE m.id = message_at(p_conversation_id, p_seq);
  RETURN event_seq;
END $$;

-- Deletes a message for all members. Users may delete their own messages. In a group an owner may delete any message,
-- and an admin those of users who are neither owner nor admin now.
CREATE OR REPLACE FUNCTION delete_message(p_conversation_id uuid, p_actor_id uuid, p_message_id uuid)
RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  message record;
  result changed;
BEGIN
  SELECT * INTO message FROM lock_message(p_conversation_id, p_actor_id, p_message_id);
  result.outcome := CASE
    WHEN message.seq IS NULL THEN 'no-message'
    WHEN message.sender_id <> p_actor_id AND NOT (message.kind = 'group' AND (message.role = 'owner'
      OR (message.role = 'admin' AND NOT EXISTS (
        SELECT FROM conversation_members m WHERE m.conversation_id = p_conversation_id
          AND m.user_id = message.sender_id AND m.left_seq IS NULL AND m.role <> 'member')))) THEN 'forbidden'
    WHEN message.deleted THEN 'unchanged'
    ELSE 'changed' END;
  IF result.outcome <> 'changed' THEN RETURN result; END IF;
  result.first_seq := erase_message(p_conversation_id, p_actor_id, message.seq);
  result.last_seq := result.first_seq;
  RETURN result;
END $$;

-- Hides a message for the actor alone. It takes no seq of the log and does not lock the head. It changes what is
-- unread, so the actor's membership is stamped with a new user seq.
CREATE OR REPLACE FUNCTION hide_message(p_conversation_id uuid, p_actor_id uuid, p_message_id uuid)
RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  visible bigint;
  hidden bigint;
  taken bigint;
  result changed;
BEGIN
  SELECT m.visible_from_seq INTO visible FROM conversation_members m
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_actor_id AND m.left_seq IS NULL
    FOR NO KEY UPDATE;
  SELECT m.seq INTO hidden FROM (SELECT * FROM messages WHERE messages.id = p_message_id OFFSET 0) m
    WHERE m.conversation_id = p_conversation_id AND m.seq >= visible;
  result.outcome := CASE
    WHEN hidden IS NULL THEN 'no-message'
    WHEN EXISTS (SELECT FROM hidden_messages h WHERE h.user_id = p_actor_id
      AND h.conversation_id = p_conversation_id AND h.message_seq = hidden) THEN 'unchanged'
    ELSE 'changed' END;
  IF result.outcome <> 'changed' THEN RETURN result; END IF;
  SELECT u.seq INTO STRICT taken FROM next_user_seqs(ARRAY[p_actor_id]) u;
  INSERT INTO hidden_messages (user_id, conversation_id, message_seq, user_seq)
    VALUES (p_actor_id, p_conversation_id, hidden, taken);
  UPDATE conversation_members m SET hides = true, user_seq = taken
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_actor_id;
  RETURN result;
END $$;
