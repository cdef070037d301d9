-- New passwords from operators. Each function locks the row of the user before any other row, as account_admin.sql says.

-- Sets the password of a user, ends all sessions and drops the reset. Outcomes: changed · no-user.
CREATE OR REPLACE FUNCTION set_account_password(
  p_user_id uuid, p_actor text, p_password_hash text, p_at timestamptz, OUT outcome text, OUT ended uuid[]
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  ended := '{}';
  UPDATE users u SET password_hash = p_password_hash WHERE u.id = p_user_id AND u.deleted_at IS NULL;
  IF NOT FOUND THEN
    outcome := 'no-user';
    RETURN;
  END IF;
  outcome := 'changed';
  ended := end_sessions(p_user_id, p_at);
  DELETE FROM password_resets r WHERE r.user_id = p_user_id;
  PERFORM add_audit(p_actor, 'admin.setPassword', 'user', p_user_id::text,
    jsonb_build_object('endedSessions', cardinality(ended)));
END $$;

-- Makes a reset in place of the last one; false when there is no such account.
CREATE OR REPLACE FUNCTION make_password_reset(p_user_id uuid, p_actor text, p_hash bytea, p_expires_at timestamptz)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM FROM users u WHERE u.id = p_user_id AND u.deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  INSERT INTO password_resets AS r (user_id, hash, expires_at) VALUES (p_user_id, p_hash, p_expires_at)
    ON CONFLICT (user_id) DO UPDATE SET hash = EXCLUDED.hash, expires_at = EXCLUDED.expires_at;
  PERFORM add_audit(p_actor, 'admin.resetPassword', 'user', p_user_id::text,
    jsonb_build_object('expiresAt', to_char(p_expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')));
  RETURN true;
END $$;

-- Uses a reset up, sets the password and ends all sessions. user_id is null when the reset does not exist, or not any
-- more once the row of the user is locked.
CREATE OR REPLACE FUNCTION use_password_reset(
  p_hash bytea, p_password_hash text, p_at timestamptz, OUT user_id uuid, OUT ended uuid[]
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  owner_id uuid;
BEGIN
  ended := '{}';
  SELECT r.user_id INTO owner_id FROM password_resets r WHERE r.hash = p_hash;
  PERFORM FROM users u WHERE u.id = owner_id AND u.deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN; END IF;
  DELETE FROM password_resets r WHERE r.hash = p_hash AND r.expires_at > p_at;
  IF NOT FOUND THEN RETURN; END IF;
  UPDATE users u SET password_hash = p_password_hash WHERE u.id = owner_id;
  ended := end_sessions(owner_id, p_at);
  user_id := owner_id;
END $$;
