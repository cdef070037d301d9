-- What operators do to accounts. Each function locks the row of the user first. A login takes a share lock on that row:
-- either the function waits and then sees the session, or the login waits and then reads the row again. Outcomes:
-- changed, with a line in the audit log · unchanged · no-user.

-- Keeps the user out. p_failure becomes the failure of the scheduled messages that are not being sent already.
CREATE OR REPLACE FUNCTION disable_account(
  p_user_id uuid, p_actor text, p_at timestamptz, p_failure jsonb, OUT outcome text, OUT ended uuid[]
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  account record;
BEGIN
  ended := '{}';
  SELECT u.disabled_at INTO account FROM users u WHERE u.id = p_user_id AND u.deleted_at IS NULL FOR NO KEY UPDATE;
  outcome := CASE WHEN NOT FOUND THEN 'no-user' WHEN account.disabled_at IS NULL THEN 'changed' ELSE 'unchanged' END;
  IF outcome <> 'changed' THEN RETURN; END IF;
  UPDATE users u SET disabled_at = p_at WHERE u.id = p_user_id;
  ended := end_sessions(p_user_id, p_at);
  UPDATE scheduled_messages s SET failure = p_failure
    WHERE s.user_id = p_user_id AND s.failure IS NULL AND s.claimed_until IS NULL;
  PERFORM add_audit(p_actor, 'admin.disable', 'user', p_user_id::text,
    jsonb_build_object('endedSessions', cardinality(ended)));
END $$;

-- Lets the user log in again.
CREATE OR REPLACE FUNCTION enable_account(p_user_id uuid, p_actor text, OUT outcome text, OUT ended uuid[])
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  account record;
BEGIN
  ended := '{}';
  SELECT u.disabled_at INTO account FROM users u WHERE u.id = p_user_id AND u.deleted_at IS NULL FOR NO KEY UPDATE;
  outcome := CASE WHEN NOT FOUND THEN 'no-user' WHEN account.disabled_at IS NULL THEN 'unchanged' ELSE 'changed' END;
  IF outcome <> 'changed' THEN RETURN; END IF;
  UPDATE users u SET disabled_at = NULL WHERE u.id = p_user_id;
  PERFORM add_audit(p_actor, 'admin.enable', 'user', p_user_id::text, '{}');
END $$;

-- Deletes the account as its user can: see close_account. With p_erase everything that the user has written is erased later, by
-- erase_messages_of. Other outcomes: in-groups.
CREATE OR REPLACE FUNCTION delete_account(
  p_user_id uuid, p_actor text, p_at timestamptz, p_erase boolean, OUT outcome text, OUT ended uuid[]
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  known text;
BEGIN
  ended := '{}';
  SELECT u.password_hash INTO known FROM users u WHERE u.id = p_user_id AND u.deleted_at IS NULL FOR UPDATE;
  IF NOT FOUND THEN
    outcome := 'no-user';
    RETURN;
  END IF;
  SELECT c.outcome, c.ended INTO outcome, ended FROM close_account(p_user_id, known, p_at) c;
  IF outcome <> 'closed' THEN RETURN; END IF;
  outcome := 'changed';
  IF p_erase THEN
    INSERT INTO erasures (user_id, conversation_id)
      SELECT p_user_id, m.conversation_id FROM conversation_members m WHERE m.user_id = p_user_id;
  END IF;
  PERFORM add_audit(p_actor, 'admin.deleteAccount', 'user', p_user_id::text,
    jsonb_build_object('endedSessions', cardinality(ended))
      || CASE WHEN p_erase THEN '{"messages":"erase"}'::jsonb ELSE '{}' END);
END $$;

-- Ends all sessions of a user, who may log in again, and revokes the tokens of a bot.
CREATE OR REPLACE FUNCTION end_account_sessions(
  p_user_id uuid, p_actor text, p_at timestamptz, OUT outcome text, OUT ended uuid[]
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  revoked int;
BEGIN
  ended := '{}';
  PERFORM FROM users u WHERE u.id = p_user_id AND u.deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    outcome := 'no-user';
    RETURN;
  END IF;
  ended := end_sessions(p_user_id, p_at);
  DELETE FROM service_tokens t WHERE t.bot_id = p_user_id;
  GET DIAGNOSTICS revoked = ROW_COUNT;
  outcome := CASE cardinality(ended) + revoked WHEN 0 THEN 'unchanged' ELSE 'changed' END;
  IF outcome <> 'changed' THEN RETURN; END IF;
  PERFORM add_audit(p_actor, 'admin.endSessions', 'user', p_user_id::text,
    jsonb_build_object('endedSessions', cardinality(ended))
      || CASE revoked WHEN 0 THEN '{}' ELSE jsonb_build_object('revokedTokens', revoked) END);
END $$;
