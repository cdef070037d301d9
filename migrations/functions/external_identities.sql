-- Users and sessions of external tokens.

-- Finds the user of an external identity, or makes one if p_create says so, under the first of p_usernames that is free.
-- Whoever makes the same user at the same time waits in the insert of the identity, and then finds it. p_id is the id of
-- a new user. NULL for a name, the picture, the address or the team means that the issuer gives none. p_update takes over what
-- is given and has changed, unless a token that was issued later has been seen. The team always follows, because it decides
-- what the user may see. Outcomes: created · updated · unchanged ·
-- unknown, without a user · ended, for a token from before all sessions of the user were ended.
CREATE OR REPLACE FUNCTION provision_user(
  p_issuer text, p_subject text, p_id uuid, p_usernames text[], p_display_name text, p_search_name text,
  p_avatar_url text, p_email text, p_team text, p_issued_at timestamptz, p_at timestamptz, p_create boolean,
  p_update boolean, OUT outcome text, OUT user_id uuid
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  known record;
  name text;
  is_new boolean := false;
BEGIN
  LOOP
    SELECT * INTO known FROM external_identities i WHERE i.issuer = p_issuer AND i.subject = p_subject;
    IF NOT FOUND AND p_create THEN
      INSERT INTO external_identities (issuer, subject, user_id, profile_at)
        VALUES (p_issuer, p_subject, p_id, p_issued_at) ON CONFLICT DO NOTHING;
      is_new := FOUND;
      EXIT WHEN is_new;
      CONTINUE;
    END IF;
    -- The seconds of tokens have no fractions, so one of the same second may be older.
    IF p_issued_at < known.valid_from THEN
      outcome := 'ended';
      RETURN;
    END IF;
    EXIT WHEN known.closed_at IS NULL OR NOT p_create;
    UPDATE external_identities i SET user_id = p_id, profile_at = p_issued_at, closed_at = NULL
      WHERE i.issuer = p_issuer AND i.subject = p_subject AND i.closed_at IS NOT NULL;
    is_new := FOUND;
    EXIT WHEN is_new;
  END LOOP;

  IF is_new THEN
    -- Usernames made of a public hash can be taken on purpose. The end of a new id is random, so nobody can guess it.
    FOREACH name IN ARRAY p_usernames || right(replace(p_id::text, '-', ''), length(p_usernames[cardinality(p_usernames)])) LOOP
      -- No @ in the key: the address is no login, and need not be the only one of its kind.
      INSERT INTO users (id, email, email_key, username, display_name, search_name, avatar_url, password_hash, created_at,
          team)
        VALUES (p_id, COALESCE(p_email, ''), 'external-' || p_id, name, COALESCE(p_display_name, name),
          COALESCE(p_search_name, name), p_avatar_url, '', p_at, p_team)
        ON CONFLICT (username) DO NOTHING;
      IF FOUND THEN
        outcome := 'created';
        user_id := p_id;
        RETURN;
      END IF;
    END LOOP;
    RAISE EXCEPTION 'every username for a new user is taken';
  END IF;

  IF known.user_id IS NULL OR known.closed_at IS NOT NULL THEN
    outcome := 'unknown';
    RETURN;
  END IF;
  user_id := known.user_id;
  outcome := 'unchanged';
  IF p_issued_at < known.profile_at THEN RETURN; END IF;
  IF NOT p_update THEN
    p_display_name := NULL;
    p_search_name := NULL;
    p_avatar_url := NULL;
    p_email := NULL;
  END IF;
  UPDATE users u SET display_name = COALESCE(p_display_name, u.display_name),
      search_name = COALESCE(p_search_name, u.search_name), avatar_url = COALESCE(p_avatar_url, u.avatar_url),
      email = CASE WHEN u.email_key = 'external-' || u.id THEN COALESCE(p_email, u.email) ELSE u.email END,
      team = COALESCE(p_team, u.team)
    WHERE u.id = known.user_id AND u.deleted_at IS NULL
      AND (u.display_name <> COALESCE(p_display_name, u.display_name)
        OR u.avatar_url IS DISTINCT FROM COALESCE(p_avatar_url, u.avatar_url)
        OR u.team IS DISTINCT FROM COALESCE(p_team, u.team)
        OR (u.email_key = 'external-' || u.id AND u.email <> COALESCE(p_email, u.email)));
  IF NOT FOUND THEN RETURN; END IF;
  UPDATE external_identities i SET profile_at = GREATEST(i.profile_at, p_issued_at)
    WHERE i.issuer = p_issuer AND i.subject = p_subject;
  outcome := 'updated';
END $$;

-- Finds the user of an external token for its session, and begins that session if p_begin says so; until it ends, each of
-- its tokens may make it last longer. A known token writes nothing, but once a day that its session is in use, so that
-- "idle" is right to a day. The share lock on the user keeps the account from
-- being disabled or closed between the check and the session. Outcomes: known · begun, with the user, and whether the user
-- was made now · unknown, for a user who is not to be made · disabled · ended.
CREATE OR REPLACE FUNCTION use_external_session(
  p_issuer text, p_subject text, p_id uuid, p_usernames text[], p_display_name text, p_search_name text,
  p_avatar_url text, p_email text, p_team text, p_issued_at timestamptz, p_at timestamptz, p_create boolean,
  p_update boolean, p_session_id uuid, p_expires_at timestamptz, p_begin boolean, p_user_agent text, p_ip text,
  OUT outcome text, OUT user_id uuid, OUT created boolean
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  session record;
  account record;
  owner_id uuid;
BEGIN
  SELECT * INTO session FROM sessions s WHERE s.id = p_session_id;
  outcome := 'ended';
  IF session.ended_at IS NOT NULL THEN RETURN; END IF;
  SELECT p.outcome, p.user_id INTO outcome, owner_id
    FROM provision_user(p_issuer, p_subject, p_id, p_usernames, p_display_name, p_search_name, p_avatar_url, p_email,
      p_team, p_issued_at, p_at, p_create, p_update) p;
  IF owner_id IS NULL THEN RETURN; END IF;
  created := outcome = 'created';

  IF session.id IS NULL AND p_begin THEN
    INSERT INTO sessions (id, user_id, user_agent, ip, rotated_at, created_at, last_used_at, expires_at)
      SELECT p_session_id, u.id, p_user_agent, p_ip, p_at, p_at, p_at, p_expires_at
      FROM users u WHERE u.id = owner_id AND u.deleted_at IS NULL AND u.disabled_at IS NULL FOR SHARE OF u
      ON CONFLICT (id) DO NOTHING;
    IF FOUND THEN
      outcome := 'begun';
      user_id := owner_id;
      RETURN;
    END IF;
    -- Another node may have begun it.
    SELECT * INTO session FROM sessions s WHERE s.id = p_session_id;
  END IF;
  SELECT u.disabled_at, u.deleted_at INTO account FROM users u WHERE u.id = owner_id;
  outcome := CASE
    WHEN session.ended_at IS NOT NULL OR session.user_id <> owner_id OR account.deleted_at IS NOT NULL THEN 'ended'
    WHEN account.disabled_at IS NOT NULL THEN 'disabled'
    ELSE 'known' END;
  IF outcome <> 'known' THEN RETURN; END IF;
  IF p_begin AND (session.expires_at < p_expires_at OR session.last_used_at <= p_at - interval '1 day') THEN
    UPDATE sessions s SET expires_at = GREATEST(s.expires_at, p_expires_at), last_used_at = p_at,
        user_agent = p_user_agent, ip = p_ip
      WHERE s.id = p_session_id AND s.ended_at IS NULL;
    IF NOT FOUND THEN
      outcome := 'ended';
      RETURN;
    END IF;
  END IF;
  user_id := owner_id;
END $$;
