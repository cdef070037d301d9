-- Passwords and the closing of accounts.

-- Ends the sessions of a user whose row is locked, except for p_kept_id if that is not NULL, and returns their ids. When
-- none is kept, external tokens that were issued before are refused, because they could begin new sessions.
CREATE OR REPLACE FUNCTION end_other_sessions(p_user_id uuid, p_kept_id uuid, p_at timestamptz) RETURNS uuid[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  ended uuid[];
BEGIN
  WITH others AS (
    UPDATE sessions s SET ended_at = p_at, ended_seq = nextval('session_ends')
    WHERE s.user_id = p_user_id AND s.id IS DISTINCT FROM p_kept_id AND s.ended_at IS NULL
    RETURNING s.id
  )
  SELECT COALESCE(array_agg(others.id), '{}') INTO ended FROM others;
  IF p_kept_id IS NULL THEN
    UPDATE external_identities i SET valid_from = p_at WHERE i.user_id = p_user_id;
  END IF;
  RETURN ended;
END $$;

-- Ends all sessions of a user whose row is locked, and returns their ids.
CREATE OR REPLACE FUNCTION end_sessions(p_user_id uuid, p_at timestamptz) RETURNS uuid[] LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN end_other_sessions(p_user_id, NULL, p_at);
END $$;

-- Changes a password and ends the user's other sessions; returns their ids, or NULL when the current password hash is
-- not p_old. It is a function because its second statement must see sessions that were created while the first one
-- waited for the lock: a login takes a share lock on its user.
CREATE OR REPLACE FUNCTION change_password(p_user_id uuid, p_session_id uuid, p_old text, p_new text, p_at timestamptz)
RETURNS uuid[] LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  UPDATE users SET password_hash = p_new
    WHERE id = p_user_id AND password_hash = p_old AND deleted_at IS NULL;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  RETURN end_other_sessions(p_user_id, p_session_id, p_at);
END $$;

-- Closes the account of a user who is in no group. The row stays, because messages and events refer to it, but neither it
-- nor the rows of sessions hold personal data, and the username and the email address can be used again. A login and the
-- adding of a member to a group take a share lock on the row: either this function waits and then sees them, or they wait
-- and then find no user. The password hash is compared again because it may have changed since the password was
-- verified. Outcomes: closed · in-groups · wrong-password.
CREATE OR REPLACE FUNCTION close_account(
  p_user_id uuid, p_password_hash text, p_at timestamptz, OUT outcome text, OUT ended uuid[]
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM FROM users u WHERE u.id = p_user_id AND u.password_hash = p_password_hash AND u.deleted_at IS NULL
    FOR UPDATE;
  IF NOT FOUND THEN
    outcome := 'wrong-password';
    RETURN;
  END IF;
  IF EXISTS (SELECT FROM conversation_members m
    JOIN conversations c ON c.id = m.conversation_id AND c.kind = 'group'
    WHERE m.user_id = p_user_id AND m.left_seq IS NULL) THEN
    outcome := 'in-groups';
    RETURN;
  END IF;
  UPDATE users u SET deleted_at = p_at, email = 'deleted-' || u.id, email_key = 'deleted-' || u.id,
      username = 'deleted-' || u.id, display_name = 'Deleted user', search_name = '', avatar_url = NULL,
      password_hash = '', guest_check_at = NULL
    WHERE u.id = p_user_id;
  ended := end_sessions(p_user_id, p_at);
  UPDATE sessions s SET user_agent = '', ip = '' WHERE s.user_id = p_user_id;
  DELETE FROM service_tokens t WHERE t.bot_id = p_user_id;
  DELETE FROM blocks b WHERE b.user_id = p_user_id;
  DELETE FROM stars s WHERE s.user_id = p_user_id;
  DELETE FROM password_resets r WHERE r.user_id = p_user_id;
  DELETE FROM drafts d WHERE d.user_id = p_user_id;
  PERFORM drop_unbound(p_user_id, NULL, interval '0');
  UPDATE uploads u SET expires_at = p_at WHERE u.owner_id = p_user_id AND u.expires_at > p_at;
  DELETE FROM scheduled_messages s WHERE s.user_id = p_user_id;
  DELETE FROM event_cursors e WHERE e.user_id = p_user_id;
  DELETE FROM idempotency_keys k WHERE k.user_id = p_user_id;
  UPDATE external_identities i SET closed_at = p_at WHERE i.user_id = p_user_id;
  outcome := 'closed';
END $$;
