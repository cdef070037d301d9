-- Guests: users without an account, who came by an invite that admits them.

-- Makes a guest, who joins the group of an invite, and remains a member until the invite expires. Both happen or neither, as
-- in register_invited. The team is that of the user who has made the invite. Outcomes: as accept_invite; no-invite also for
-- an invite that does not admit guests.
CREATE OR REPLACE FUNCTION join_as_guest(
  p_user_id uuid, p_username text, p_display_name text, p_search_name text, p_at timestamptz, p_code text, p_limit int,
  OUT outcome text, OUT first_seq bigint, OUT last_seq bigint
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM FROM invites i WHERE i.code = p_code AND i.guests;
  IF NOT FOUND THEN
    outcome := 'no-invite';
    RETURN;
  END IF;
  INSERT INTO users (id, email, email_key, username, display_name, search_name, avatar_url, password_hash, created_at, kind,
      guest_check_at, team)
    VALUES (p_user_id, '', 'guest-' || p_user_id, p_username, p_display_name, p_search_name, NULL, '', p_at, 'guest',
      clock_timestamp() + guest_check_interval(),
      (SELECT u.team FROM invites i JOIN users u ON u.id = i.created_by WHERE i.code = p_code));
  SELECT j.outcome, j.first_seq, j.last_seq INTO outcome, first_seq, last_seq
    FROM accept_invite(p_code, p_user_id, p_limit) j;
  IF outcome <> 'changed' THEN DELETE FROM users u WHERE u.id = p_user_id; END IF;
END $$;

-- Looks at the guests whose time has come, at most p_limit, and returns all of them. Expired guests are members of no group,
-- or without a session that was used after p_idle_since and has neither ended nor expired by p_at. They are being
-- closed from now on, so that they can no longer become accounts. All of them are looked at again later. The times of
-- sessions are those of the nodes.
CREATE OR REPLACE FUNCTION check_guests(p_at timestamptz, p_idle_since timestamptz, p_limit int)
RETURNS TABLE (user_id uuid, is_expired boolean) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  guest record;
BEGIN
  -- A volatile function cannot limit the range of an index; its value from a subquery can.
  FOR guest IN SELECT u.id FROM users u
    WHERE u.guest_check_at <= (SELECT clock_timestamp())
    ORDER BY u.guest_check_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
  LOOP
    user_id := guest.id;
    is_expired := NOT EXISTS (SELECT FROM conversation_members m
        JOIN conversations c ON c.id = m.conversation_id AND c.kind = 'group'
        WHERE m.user_id = guest.id AND m.left_seq IS NULL)
      OR NOT EXISTS (SELECT FROM sessions s WHERE s.user_id = guest.id AND s.ended_at IS NULL AND s.expires_at > p_at
        AND s.last_used_at > p_idle_since);
    UPDATE users u SET guest_check_at = clock_timestamp() + guest_check_interval() WHERE u.id = guest.id;
    IF is_expired THEN UPDATE users u SET closing_at = clock_timestamp() WHERE u.id = guest.id; END IF;
    RETURN NEXT;
  END LOOP;
END $$;

-- Closes the account of an expired guest who is in no group. Others go on seeing the name, because it is all that tells who
-- wrote the messages. Outcomes: closed · in-groups · no-user (also when it is no guest any more).
CREATE OR REPLACE FUNCTION close_guest(p_user_id uuid, p_at timestamptz, OUT outcome text, OUT ended uuid[])
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  guest record;
BEGIN
  SELECT * INTO guest FROM users u
    WHERE u.id = p_user_id AND u.kind = 'guest' AND u.deleted_at IS NULL FOR UPDATE;
  IF NOT FOUND THEN
    outcome := 'no-user';
    ended := '{}';
    RETURN;
  END IF;
  SELECT c.outcome, c.ended INTO outcome, ended FROM close_account(p_user_id, guest.password_hash, p_at) c;
  IF outcome = 'closed' THEN
    UPDATE users u SET display_name = guest.display_name WHERE u.id = p_user_id;
  END IF;
END $$;

-- Makes an account of a guest, who keeps everything, for good. Whoever does the same at the same time waits and then finds no
-- guest. A guest who is being closed counts as closed. Outcomes: changed · no-guest · no-user.
CREATE OR REPLACE FUNCTION claim_guest(
  p_user_id uuid, p_email text, p_email_key text, p_username text, p_display_name text, p_search_name text,
  p_password_hash text
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  guest record;
BEGIN
  SELECT * INTO guest FROM users u WHERE u.id = p_user_id AND u.deleted_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND OR guest.closing_at >= clock_timestamp() - closing_period() THEN RETURN 'no-user'; END IF;
  IF guest.kind <> 'guest' THEN RETURN 'no-guest'; END IF;
  UPDATE users u SET kind = 'person', guest_check_at = NULL, email = p_email, email_key = p_email_key,
      username = p_username, display_name = COALESCE(p_display_name, u.display_name),
      search_name = COALESCE(p_search_name, u.search_name), password_hash = p_password_hash
    WHERE u.id = p_user_id;
  UPDATE conversation_members m SET guest_until = NULL WHERE m.user_id = p_user_id AND m.guest_until IS NOT NULL;
  RETURN 'changed';
END $$;
