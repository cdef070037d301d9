-- The building blocks of every durable change except the append. Each operation is one call of a VOLATILE function,
-- which
-- 1. locks the head of the conversation and reads the actor's current membership (lock_member); without one it does
--    nothing;
-- 2. checks what must hold, with statements that each see what was committed before the lock was granted;
-- 3. writes, and gives the change its place in the log (add_event);
-- 4. takes the next user seqs of the users whose own state changed (next_user_seqs), and stamps their rows with them.
-- Locks are taken in the order: head, members by user id, user_heads by user id. The result has at least the columns of
-- the type changed: the outcome ('changed', 'unchanged', or the reason why nothing was done) and the seqs that were
-- taken.

-- Locks the head of the conversation and returns the actor's current membership; returns no row for non-members. These lock
-- nothing, and what they ask for takes as long as for a conversation that does not exist.
CREATE OR REPLACE FUNCTION lock_member(p_conversation_id uuid, p_user_id uuid)
RETURNS TABLE (kind text, role text, visible_from_seq bigint) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM FROM conversation_members m
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id AND m.left_seq IS NULL;
  IF NOT FOUND THEN RETURN; END IF;
  PERFORM FROM conversation_heads h WHERE h.conversation_id = p_conversation_id FOR UPDATE;
  RETURN QUERY SELECT c.kind, m.role, m.visible_from_seq
    FROM conversation_members m JOIN conversations c ON c.id = m.conversation_id
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id AND m.left_seq IS NULL;
END $$;

-- True in a DM whose other member has blocked the user. The blocked user can change nothing there, except delete own
-- messages and change what is the user's alone. This is the one rule for all changes: each of them asks it under the
-- lock of the head, which set_block takes too, and before anything else about a message or a conversation that the user
-- may see. The appends and the markers read the column themselves, in the row that they have locked.
CREATE OR REPLACE FUNCTION is_blocked(p_conversation_id uuid, p_user_id uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT m.blocked FROM conversation_members m WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id
$$;

-- Why the actor may not bring users into a conversation; NULL when it may. For a group the caller has locked the users, so
-- that none of their accounts is closed meanwhile. An account that is being closed counts as closed for closing_period(),
-- so that its user can leave all groups. Reasons: no-user · blocked (by one of the users) · contacts-only (see
-- users.who_may_add_me).
CREATE OR REPLACE FUNCTION refusal_to_add(p_actor_id uuid, p_user_ids uuid[]) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN CASE
    WHEN (SELECT count(*) FROM users u WHERE u.id = ANY (p_user_ids) AND u.deleted_at IS NULL
      AND COALESCE(u.closing_at < clock_timestamp() - closing_period(), true)) <> cardinality(p_user_ids) THEN 'no-user'
    WHEN EXISTS (SELECT FROM unnest(p_user_ids) u(id) CROSS JOIN LATERAL (
      SELECT FROM blocks b WHERE b.user_id = u.id AND b.blocked_id = p_actor_id LIMIT 1) blocked) THEN 'blocked'
    WHEN EXISTS (SELECT FROM users u WHERE u.id = ANY (p_user_ids) AND u.who_may_add_me = 'contacts'
      AND u.id <> p_actor_id AND NOT EXISTS (
        SELECT FROM conversation_members other
        JOIN conversation_members me ON me.conversation_id = other.conversation_id AND me.user_id = p_actor_id
        WHERE other.user_id = u.id AND COALESCE(other.left_seq, me.left_seq) IS NULL AND other.wrote AND me.wrote
        OFFSET 0)) THEN 'contacts-only'
    END;
END $$;

-- Why the actor may not bring users into a conversation by the own wish; NULL when it may. The application may do more. Reasons:
-- guest (the actor is one) · those of refusal_to_add, and no-user also for a user of another team with whom the actor shares
-- no conversation.
CREATE OR REPLACE FUNCTION refusal_to_meet(p_actor_id uuid, p_user_ids uuid[]) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN CASE
    WHEN EXISTS (SELECT FROM users u WHERE u.id = p_actor_id AND u.kind = 'guest') THEN 'guest'
    WHEN EXISTS (SELECT FROM users me JOIN users u ON u.id = ANY (p_user_ids) AND u.team <> me.team
      WHERE me.id = p_actor_id AND NOT EXISTS (
        SELECT FROM conversation_members other
        JOIN conversation_members mine ON mine.conversation_id = other.conversation_id AND mine.user_id = p_actor_id
        WHERE other.user_id = u.id AND COALESCE(other.left_seq, mine.left_seq) IS NULL
        OFFSET 0)) THEN 'no-user'
    ELSE refusal_to_add(p_actor_id, p_user_ids)
    END;
END $$;

-- Shows a DM to the member who has not opened it, and returns that user; NULL when it shows to both. The caller holds the
-- lock of the head.
CREATE OR REPLACE FUNCTION show_direct(p_conversation_id uuid) RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  peer uuid;
BEGIN
  SELECT m.user_id INTO peer FROM conversation_members m
    WHERE m.conversation_id = p_conversation_id AND NOT m.shown FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  UPDATE conversation_members m SET shown = true, user_seq = s.seq FROM next_user_seqs(ARRAY[peer]) s
    WHERE m.conversation_id = p_conversation_id AND m.user_id = peer;
  RETURN peer;
END $$;

-- Returns the id of the message at a seq, or NULL. It searches in the order of seq, which only one index provides: for
-- a comparison with = a plan that was made while the table was empty, and is kept, may use any index of the
-- conversation and read all of it.
CREATE OR REPLACE FUNCTION message_at(p_conversation_id uuid, p_seq bigint) RETURNS uuid LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT first.id FROM (SELECT m.id, m.seq FROM messages m
    WHERE m.conversation_id = p_conversation_id AND m.seq >= p_seq ORDER BY m.seq LIMIT 1) first
    WHERE first.seq = p_seq);
END $$;

-- Appends an event and returns its seq. The caller holds the lock of the head. p_message_seq is the message that the
-- event changes, if there is one; its id and seq become part of the data. The data are references and resulting counts,
-- never bodies, which are read as they are when the log is read.
CREATE OR REPLACE FUNCTION add_event(
  p_conversation_id uuid, p_event text, p_actor_id uuid, p_message_seq bigint, p_data jsonb
) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  taken bigint;
  changed_id uuid;
BEGIN
  WITH moved AS (
    UPDATE conversation_heads h SET seq = h.seq + 1, feed_position = feed_position_after(h.feed_position)
      WHERE h.conversation_id = p_conversation_id RETURNING h.feed_position, h.seq
  )
  INSERT INTO change_feed AS f (position, conversation_id, first_seq, last_seq)
    SELECT m.feed_position, p_conversation_id, m.seq, m.seq FROM moved m
    ON CONFLICT (position, conversation_id) DO UPDATE SET last_seq = EXCLUDED.last_seq
    RETURNING f.last_seq INTO STRICT taken;
  IF p_message_seq IS NOT NULL THEN
    UPDATE messages m SET changed_seq = taken WHERE m.id = message_at(p_conversation_id, p_message_seq)
      RETURNING m.id INTO STRICT changed_id;
    p_data := p_data || jsonb_build_object('messageId', changed_id, 'messageSeq', p_message_seq);
  END IF;
  INSERT INTO conversation_events (conversation_id, seq, event, actor_id, at, message_seq, data)
    VALUES (p_conversation_id, taken, p_event, p_actor_id, clock_timestamp(), p_message_seq, p_data);
  RETURN taken;
END $$;

-- Returns the next user seq of each user, for changes of their own state. Call it once in a transaction, after all
-- members are locked. ROWS makes an update of their memberships look up each one, instead of reading the whole group.
CREATE OR REPLACE FUNCTION next_user_seqs(p_user_ids uuid[]) RETURNS TABLE (user_id uuid, seq bigint)
LANGUAGE sql VOLATILE ROWS 1 AS $$
  INSERT INTO user_heads AS u (user_id, seq) SELECT DISTINCT id, 1 FROM unnest(p_user_ids) AS id ORDER BY id
    ON CONFLICT (user_id) DO UPDATE SET seq = u.seq + 1
    RETURNING u.user_id, u.seq
$$;
