-- Invites to groups. Creating or revoking an invite is not an event of the log. Joining by one is, and counts its use
-- in the same transaction.

-- True while an invite can be accepted. accept_invite also refuses the invites of a group without members.
CREATE OR REPLACE FUNCTION is_open(i invites) RETURNS boolean LANGUAGE sql VOLATILE AS $$
  SELECT i.revoked_at IS NULL AND COALESCE(i.expires_at > clock_timestamp(), true)
    AND COALESCE(i.uses < i.max_uses, true)
$$;

-- Creates an invite, which admits guests if p_guests says so. The lock of the head keeps a key from being used twice.
-- Outcomes: changed · unchanged (a retry under its key within idempotency_window()) · reused (the key belongs to another
-- request) · not-a-member · not-a-group · forbidden.
CREATE OR REPLACE FUNCTION make_invite(
  p_conversation_id uuid, p_actor_id uuid, p_code text, p_expires_in_seconds int, p_max_uses int, p_key text,
  p_request_hash bytea, p_guests boolean, OUT outcome text, OUT invite_code text
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  me record;
  known record;
  now timestamptz(3) := clock_timestamp();
BEGIN
  SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
  SELECT i.code, i.request_hash INTO known FROM invites i
    WHERE i.created_by = p_actor_id AND i.idempotency_key = p_key AND i.created_at >= now - idempotency_window();
  outcome := CASE
    WHEN me.role IS NULL THEN 'not-a-member'
    WHEN me.kind <> 'group' THEN 'not-a-group'
    WHEN me.role = 'member' THEN 'forbidden'
    WHEN known.code IS NULL THEN 'changed'
    WHEN known.request_hash = p_request_hash THEN 'unchanged'
    ELSE 'reused' END;
  invite_code := COALESCE(known.code, p_code);
  IF outcome <> 'changed' THEN RETURN; END IF;
  INSERT INTO invites (code, conversation_id, created_by, created_at, expires_at, max_uses, idempotency_key,
    request_hash, guests)
  VALUES (p_code, p_conversation_id, p_actor_id, now, now + make_interval(secs => p_expires_in_seconds), p_max_uses,
    p_key, p_request_hash, p_guests);
END $$;

-- For nodes of release 0.1.0, which know no guests.
CREATE OR REPLACE FUNCTION create_invite(
  p_conversation_id uuid, p_actor_id uuid, p_code text, p_expires_in_seconds int, p_max_uses int, p_key text,
  p_request_hash bytea, OUT outcome text, OUT invite_code text
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  SELECT i.outcome, i.invite_code INTO outcome, invite_code FROM make_invite(p_conversation_id, p_actor_id, p_code,
    p_expires_in_seconds, p_max_uses, p_key, p_request_hash, false) i;
END $$;

-- Creates an account, whose user joins a group by an invite. Both happen or neither: a user whose invite is refused is
-- deleted again before anybody can see the row. Outcomes: as accept_invite.
CREATE OR REPLACE FUNCTION register_invited(
  p_user_id uuid, p_email text, p_email_key text, p_username text, p_display_name text, p_search_name text,
  p_avatar_url text, p_password_hash text, p_at timestamptz, p_code text, p_limit int,
  OUT outcome text, OUT first_seq bigint, OUT last_seq bigint
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  INSERT INTO users (id, email, email_key, username, display_name, search_name, avatar_url, password_hash, created_at)
    VALUES (p_user_id, p_email, p_email_key, p_username, p_display_name, p_search_name, p_avatar_url, p_password_hash,
      p_at);
  SELECT j.outcome, j.first_seq, j.last_seq INTO outcome, first_seq, last_seq
    FROM accept_invite(p_code, p_user_id, p_limit) j;
  IF outcome <> 'changed' THEN DELETE FROM users u WHERE u.id = p_user_id; END IF;
END $$;

-- Revokes an invite. Outcomes: changed · unchanged (it was revoked before) · no-invite · not-a-member · not-a-group ·
-- forbidden.
CREATE OR REPLACE FUNCTION revoke_invite(p_conversation_id uuid, p_actor_id uuid, p_code text)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  me record;
BEGIN
  SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
  IF me.role IS NULL THEN RETURN 'not-a-member'; END IF;
  IF me.kind <> 'group' THEN RETURN 'not-a-group'; END IF;
  IF me.role = 'member' THEN RETURN 'forbidden'; END IF;
  UPDATE invites i SET revoked_at = clock_timestamp()
    WHERE i.code = p_code AND i.conversation_id = p_conversation_id AND i.revoked_at IS NULL;
  IF FOUND THEN RETURN 'changed'; END IF;
  RETURN CASE WHEN EXISTS (SELECT FROM invites i WHERE i.code = p_code AND i.conversation_id = p_conversation_id)
    THEN 'unchanged' ELSE 'no-invite' END;
END $$;

-- Joins a group by an invite. A member who accepts again gets unchanged whatever became of the invite, because their
-- own use may have been its last one. A guest can use invites alone that admit guests, and is a member until the invite expires.
-- Outcomes: changed · unchanged · no-invite · group-full.
CREATE OR REPLACE FUNCTION accept_invite(p_code text, p_user_id uuid, p_limit int)
RETURNS TABLE (outcome text, first_seq bigint, last_seq bigint) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  group_id uuid;
  invite invites;
  me record;
  joiner record;
BEGIN
  SELECT i.conversation_id INTO group_id FROM invites i WHERE i.code = p_code;
  PERFORM FROM conversation_heads h WHERE h.conversation_id = group_id FOR UPDATE;
  SELECT u.kind INTO joiner FROM users u WHERE u.id = p_user_id AND u.deleted_at IS NULL FOR SHARE;
  IF NOT FOUND THEN outcome := 'no-invite'; END IF;
  SELECT * INTO invite FROM invites i WHERE i.code = p_code;
  SELECT m.left_seq, m.removed INTO me FROM conversation_members m
    WHERE m.conversation_id = group_id AND m.user_id = p_user_id;
  CASE
    WHEN outcome IS NOT NULL THEN NULL;
    WHEN FOUND AND me.left_seq IS NULL THEN outcome := 'unchanged';
    WHEN group_id IS NULL OR me.removed OR NOT is_open(invite) THEN outcome := 'no-invite';
    WHEN joiner.kind = 'guest' AND NOT invite.guests THEN outcome := 'no-invite';
    WHEN NOT EXISTS (SELECT FROM conversation_members m WHERE m.conversation_id = group_id AND m.left_seq IS NULL)
      THEN outcome := 'no-invite';
    WHEN is_full(group_id, 1, p_limit) THEN outcome := 'group-full';
    ELSE
      UPDATE invites i SET uses = i.uses + 1 WHERE i.code = p_code;
      RETURN QUERY SELECT j.outcome, j.first_seq, j.last_seq FROM join_group(group_id, p_user_id, ARRAY[p_user_id]) j;
      IF joiner.kind = 'guest' THEN
        UPDATE conversation_members m SET guest_until = invite.expires_at
          WHERE m.conversation_id = group_id AND m.user_id = p_user_id;
      END IF;
      RETURN;
  END CASE;
  RETURN QUERY SELECT outcome, NULL::bigint, NULL::bigint;
END $$;
