-- The members of groups: see changes.sql for the pattern. In addition to the outcomes listed for it, each function may
-- answer not-a-member, not-a-group or forbidden.

-- Adds users to a group, with one event each, in the given order. The caller holds the lock of the head. A user who was
-- a member before starts a new span of the log.
CREATE OR REPLACE FUNCTION join_group(p_conversation_id uuid, p_actor_id uuid, p_user_ids uuid[])
RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  result changed;
  seqs bigint[];
  joined uuid;
  history text;
BEGIN
  FOREACH joined IN ARRAY p_user_ids LOOP
    seqs := seqs || add_event(p_conversation_id, 'member.joined', p_actor_id, NULL,
      jsonb_build_object('userId', joined, 'role', 'member'));
  END LOOP;
  SELECT c.history_for_new_members INTO history FROM conversations c WHERE c.id = p_conversation_id;
  INSERT INTO conversation_members AS m (conversation_id, user_id, role, joined_seq, visible_from_seq, read_seq,
    delivered_seq)
  SELECT p_conversation_id, e.user_id, 'member', e.seq, v.seq, v.seq - 1, v.seq - 1
  FROM unnest(p_user_ids, seqs) AS e(user_id, seq)
  CROSS JOIN LATERAL (SELECT CASE WHEN history = 'all' THEN 1 ELSE e.seq END) AS v(seq)
  ORDER BY e.user_id
  ON CONFLICT (conversation_id, user_id) DO UPDATE SET role = EXCLUDED.role, joined_seq = EXCLUDED.joined_seq,
    visible_from_seq = EXCLUDED.visible_from_seq, left_seq = NULL, removed = false, guest_until = NULL,
    joined_at = EXCLUDED.joined_at, read_seq = EXCLUDED.read_seq, delivered_seq = EXCLUDED.delivered_seq,
    muted_until = NULL, archived = false, pinned = false, notify = 'all';
  UPDATE conversation_members m SET user_seq = s.seq FROM next_user_seqs(p_user_ids) s
    WHERE m.conversation_id = p_conversation_id AND m.user_id = s.user_id;
  result.outcome := 'changed';
  result.first_seq := seqs[1];
  result.last_seq := seqs[cardinality(seqs)];
  RETURN result;
END $$;

-- True when a group cannot take p_more members.
CREATE OR REPLACE FUNCTION is_full(p_conversation_id uuid, p_more int, p_limit int)
RETURNS boolean LANGUAGE sql VOLATILE AS $$
  SELECT count(*) + p_more > p_limit FROM conversation_members m
    WHERE m.conversation_id = p_conversation_id AND m.left_seq IS NULL
$$;

-- Adds users to a group; current members are left as they are. The lock on the users keeps their accounts from being
-- closed meanwhile: see close_account. Outcomes: changed · unchanged · group-full · those of refusal_to_meet.
CREATE OR REPLACE FUNCTION add_to_group(p_conversation_id uuid, p_actor_id uuid, p_user_ids uuid[], p_limit int)
RETURNS TABLE (outcome text, first_seq bigint, last_seq bigint, user_ids uuid[]) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  me record;
  new_ids uuid[];
  refusal text;
BEGIN
  SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
  PERFORM FROM users u WHERE u.id = ANY (p_user_ids) ORDER BY u.id FOR SHARE;
  SELECT COALESCE(array_agg(e.id ORDER BY e.ord), '{}') INTO new_ids
    FROM unnest(p_user_ids) WITH ORDINALITY AS e(id, ord)
    WHERE NOT EXISTS (SELECT FROM conversation_members m
      WHERE m.conversation_id = p_conversation_id AND m.user_id = e.id AND m.left_seq IS NULL OFFSET 0);
  IF me.kind = 'group' AND me.role <> 'member' THEN refusal := refusal_to_meet(p_actor_id, new_ids); END IF;
  CASE
    WHEN me.role IS NULL THEN outcome := 'not-a-member';
    WHEN me.kind <> 'group' THEN outcome := 'not-a-group';
    WHEN me.role = 'member' THEN outcome := 'forbidden';
    WHEN cardinality(new_ids) = 0 THEN outcome := 'unchanged';
    WHEN refusal IS NOT NULL THEN outcome := refusal;
    WHEN is_full(p_conversation_id, cardinality(new_ids), p_limit) THEN outcome := 'group-full';
    ELSE
      RETURN QUERY SELECT j.outcome, j.first_seq, j.last_seq, new_ids
        FROM join_group(p_conversation_id, p_actor_id, new_ids) j;
      RETURN;
  END CASE;
  RETURN QUERY SELECT outcome, NULL::bigint, NULL::bigint, '{}'::uuid[];
END $$;

-- For nodes of release 0.1.0, which do not know the outcomes contacts-only and guest.
CREATE OR REPLACE FUNCTION add_members(p_conversation_id uuid, p_actor_id uuid, p_user_ids uuid[], p_limit int)
RETURNS TABLE (outcome text, first_seq bigint, last_seq bigint, user_ids uuid[]) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN QUERY SELECT CASE WHEN a.outcome IN ('contacts-only', 'guest') THEN 'blocked' ELSE a.outcome END,
      a.first_seq, a.last_seq, a.user_ids
    FROM add_to_group(p_conversation_id, p_actor_id, p_user_ids, p_limit) a;
END $$;

-- Removes a member, or lets the actor leave. When the last owner goes, the admin who joined first becomes the owner, or
-- else the member who joined first, but no guest. A guest who is gone is looked at soon. The members are locked before the
-- user head, as everywhere, or this could deadlock with a change of the member's own state. Outcomes: changed · unchanged
-- (the user is not a member now) · no-member.
CREATE OR REPLACE FUNCTION remove_member(p_conversation_id uuid, p_actor_id uuid, p_user_id uuid)
RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  result changed;
  me record;
  target record;
  successor uuid;
  leaves boolean := p_user_id = p_actor_id;
BEGIN
  SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
  SELECT m.role, m.left_seq INTO target FROM conversation_members m
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id;
  result.outcome := CASE
    WHEN me.role IS NULL THEN 'not-a-member'
    WHEN me.kind <> 'group' THEN 'not-a-group'
    WHEN me.role = 'member' AND NOT leaves THEN 'forbidden'
    WHEN target.role IS NULL THEN 'no-member'
    WHEN target.left_seq IS NOT NULL THEN 'unchanged'
    WHEN me.role = 'admin' AND target.role <> 'member' AND NOT leaves THEN 'forbidden'
    ELSE 'changed' END;
  IF result.outcome <> 'changed' THEN RETURN result; END IF;
  IF target.role = 'owner' AND NOT EXISTS (SELECT FROM conversation_members m
    WHERE m.conversation_id = p_conversation_id AND m.left_seq IS NULL AND m.role = 'owner'
      AND m.user_id <> p_user_id) THEN
    SELECT m.user_id INTO successor FROM conversation_members m JOIN users u ON u.id = m.user_id AND u.kind <> 'guest'
      WHERE m.conversation_id = p_conversation_id AND m.left_seq IS NULL AND m.user_id <> p_user_id
      ORDER BY m.role = 'member', m.joined_seq, m.user_id LIMIT 1;
  END IF;
  PERFORM FROM conversation_members m
    WHERE m.conversation_id = p_conversation_id AND m.user_id IN (p_user_id, successor)
    ORDER BY m.user_id FOR NO KEY UPDATE;
  IF successor IS NOT NULL THEN
    UPDATE conversation_members m SET role = 'owner'
      WHERE m.conversation_id = p_conversation_id AND m.user_id = successor;
    result.first_seq := add_event(p_conversation_id, 'member.role-changed', p_actor_id, NULL,
      jsonb_build_object('userId', successor, 'role', 'owner'));
  END IF;
  result.last_seq := add_event(p_conversation_id, 'member.left', p_actor_id, NULL,
    jsonb_build_object('userId', p_user_id, 'removed', NOT leaves));
  result.first_seq := COALESCE(result.first_seq, result.last_seq);
  UPDATE conversation_members m SET left_seq = result.last_seq, removed = NOT leaves, guest_until = NULL,
      user_seq = s.seq
    FROM next_user_seqs(ARRAY[p_user_id]) s
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id;
  UPDATE users u SET guest_check_at = clock_timestamp() WHERE u.id = p_user_id AND u.guest_check_at IS NOT NULL;
  RETURN result;
END $$;

-- Changes the role of a member. Outcomes: changed · unchanged · no-member · last-owner.
CREATE OR REPLACE FUNCTION change_role(p_conversation_id uuid, p_actor_id uuid, p_user_id uuid, p_role text)
RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  result changed;
  me record;
  target text;
BEGIN
  SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
  SELECT m.role INTO target FROM conversation_members m
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id AND m.left_seq IS NULL;
  result.outcome := CASE
    WHEN me.role IS NULL THEN 'not-a-member'
    WHEN me.kind <> 'group' THEN 'not-a-group'
    WHEN me.role <> 'owner' THEN 'forbidden'
    WHEN target IS NULL THEN 'no-member'
    WHEN target = p_role THEN 'unchanged'
    WHEN target = 'owner' AND NOT EXISTS (SELECT FROM conversation_members m
      WHERE m.conversation_id = p_conversation_id AND m.left_seq IS NULL AND m.role = 'owner'
        AND m.user_id <> p_user_id) THEN 'last-owner'
    ELSE 'changed' END;
  IF result.outcome <> 'changed' THEN RETURN result; END IF;
  UPDATE conversation_members m SET role = p_role
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id;
  result.first_seq := add_event(p_conversation_id, 'member.role-changed', p_actor_id, NULL,
    jsonb_build_object('userId', p_user_id, 'role', p_role));
  result.last_seq := result.first_seq;
  RETURN result;
END $$;
