-- Messages that are to be sent later.

-- Schedules a message. The lock on the user's row keeps the limit and the key exact. scheduled_id is the id of the new
-- message, or of the one that was found by its key. Outcomes: scheduled · key-reused · not-a-member · blocked ·
-- too-early · too-late · too-many.
CREATE OR REPLACE FUNCTION schedule_message(p_id uuid, p_user_id uuid, p_conversation_id uuid, p_content jsonb,
  p_send_at timestamptz, p_key text, p_limit int)
RETURNS TABLE (outcome text, scheduled_id uuid) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  now timestamptz := clock_timestamp();
  known scheduled_messages;
BEGIN
  PERFORM FROM users u WHERE u.id = p_user_id FOR NO KEY UPDATE;
  SELECT * INTO known FROM scheduled_messages s WHERE s.user_id = p_user_id AND s.key = p_key;
  outcome := CASE
    WHEN known.id IS NOT NULL AND known.conversation_id = p_conversation_id AND known.content = p_content
      AND known.send_at = p_send_at::timestamptz(3) THEN 'scheduled'
    WHEN known.id IS NOT NULL THEN 'key-reused'
    WHEN NOT EXISTS (SELECT FROM conversation_members m WHERE m.conversation_id = p_conversation_id
      AND m.user_id = p_user_id AND m.left_seq IS NULL) THEN 'not-a-member'
    WHEN is_blocked(p_conversation_id, p_user_id) THEN 'blocked'
    WHEN p_send_at <= now THEN 'too-early'
    WHEN p_send_at > now + scheduling_horizon() THEN 'too-late'
    WHEN (SELECT count(*) FROM scheduled_messages s WHERE s.user_id = p_user_id) >= p_limit THEN 'too-many'
    ELSE 'new' END;
  scheduled_id := COALESCE(known.id, p_id);
  IF outcome = 'new' THEN
    INSERT INTO scheduled_messages (id, user_id, conversation_id, content, send_at, created_at, key)
      VALUES (p_id, p_user_id, p_conversation_id, p_content, p_send_at, now, p_key);
    outcome := 'scheduled';
  END IF;
  RETURN NEXT;
END $$;

-- Changes the given fields of a scheduled message; a message that was refused is scheduled again. Outcomes: scheduled ·
-- not-found · sending · blocked · too-early · too-late.
CREATE OR REPLACE FUNCTION reschedule_message(p_id uuid, p_user_id uuid, p_content jsonb, p_send_at timestamptz)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  now timestamptz := clock_timestamp();
  old scheduled_messages;
  at timestamptz;
BEGIN
  SELECT * INTO old FROM scheduled_messages s WHERE s.id = p_id AND s.user_id = p_user_id FOR UPDATE;
  IF NOT FOUND THEN RETURN 'not-found'; END IF;
  at := COALESCE(p_send_at, old.send_at);
  IF old.claimed_until IS NOT NULL THEN RETURN 'sending'; END IF;
  IF is_blocked(old.conversation_id, p_user_id) THEN RETURN 'blocked'; END IF;
  IF at <= now THEN RETURN 'too-early'; END IF;
  IF at > now + scheduling_horizon() THEN RETURN 'too-late'; END IF;
  UPDATE scheduled_messages s SET content = s.content || p_content, send_at = at, failure = NULL WHERE s.id = p_id;
  RETURN 'scheduled';
END $$;
