-- Creating conversations and changing their settings. Each operation is a single call, so that no lock is held across
-- round trips.

-- Creates a conversation with its first event and its members, for open_direct and make_group. A DM shows only to its
-- creator until it is opened or has its first message: for the other member nothing has changed so far.
CREATE OR REPLACE FUNCTION start_conversation(
  p_id uuid, p_kind text, p_title text, p_avatar_url text, p_creator_id uuid, p_member_ids uuid[]
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  now timestamptz(3) := clock_timestamp();
BEGIN
  INSERT INTO conversations (id, kind, title, avatar_url, created_by, created_at)
    VALUES (p_id, p_kind, p_title, p_avatar_url, p_creator_id, now);
  WITH made AS (
    INSERT INTO conversation_heads (conversation_id, seq, last_activity_at, empty, feed_position)
      VALUES (p_id, 1, now, p_kind = 'dm' AND cardinality(p_member_ids) > 1, pg_current_xact_id())
      RETURNING conversation_heads.feed_position
  )
  INSERT INTO change_feed (position, conversation_id, first_seq, last_seq) SELECT m.feed_position, p_id, 1, 1 FROM made m;
  INSERT INTO conversation_events (conversation_id, seq, event, actor_id, at, data)
    VALUES (p_id, 1, 'conversation.created', p_creator_id, now, jsonb_build_object('kind', p_kind, 'title', p_title,
      'memberCount', cardinality(p_member_ids)));
  WITH user_head AS (
    INSERT INTO user_heads AS u (user_id, seq) SELECT id, 1 FROM unnest(p_member_ids) AS id
      WHERE p_kind = 'group' OR id = p_creator_id ORDER BY id
    ON CONFLICT (user_id) DO UPDATE SET seq = u.seq + 1
    RETURNING u.user_id, u.seq
  )
  INSERT INTO conversation_members (conversation_id, user_id, role, joined_seq, visible_from_seq, joined_at,
    read_seq, delivered_seq, user_seq, shown)
  SELECT p_id, id, CASE WHEN p_kind = 'group' AND id = p_creator_id THEN 'owner' ELSE 'member' END,
    1, 1, now, 0, 0, COALESCE(user_head.seq, 0), user_head.seq IS NOT NULL
  FROM unnest(p_member_ids) AS id LEFT JOIN user_head ON user_head.user_id = id;
END $$;

-- Opens the DM of two users: creates it, or shows an existing one to p_user_id. A new DM shows only to the user who opened
-- it. A peer whom that user has blocked is marked as blocked. Outcomes: made · known (it showed to the user already) ·
-- shown (it existed, and shows to the user from now on) · for a DM that does not show, blocked, and for a new one, those of
-- refusal_to_meet.
CREATE OR REPLACE FUNCTION open_direct(
  p_id uuid, p_user_id uuid, p_peer_id uuid, OUT outcome text, OUT conversation_id uuid
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  refusal text;
  low uuid := LEAST(p_user_id, p_peer_id);
  high uuid := GREATEST(p_user_id, p_peer_id);
BEGIN
  SELECT CASE WHEN m.shown THEN 'known' ELSE 'hidden' END, d.conversation_id INTO outcome, conversation_id
    FROM direct_conversations d
    JOIN conversation_members m ON m.conversation_id = d.conversation_id AND m.user_id = p_user_id
    WHERE d.user_low = low AND d.user_high = high;
  IF outcome = 'known' THEN RETURN; END IF;
  PERFORM lock_pair(low, high);
  IF outcome IS NULL THEN
    refusal := refusal_to_meet(p_user_id, array_remove(ARRAY[p_peer_id], p_user_id));
  ELSIF EXISTS (SELECT FROM blocks b WHERE b.user_id = p_peer_id AND b.blocked_id = p_user_id) THEN
    refusal := 'blocked';
  END IF;
  IF refusal IS NOT NULL THEN
    outcome := refusal;
  ELSE
    INSERT INTO direct_conversations (user_low, user_high, conversation_id) VALUES (low, high, p_id)
      ON CONFLICT (user_low, user_high) DO NOTHING;
    outcome := CASE WHEN FOUND THEN 'made' ELSE 'known' END;
    SELECT d.conversation_id INTO conversation_id FROM direct_conversations d
      WHERE d.user_low = low AND d.user_high = high;
  END IF;
  IF outcome = 'known' THEN
    PERFORM FROM conversation_heads h WHERE h.conversation_id = open_direct.conversation_id FOR UPDATE;
    IF show_direct(conversation_id) IS NOT NULL THEN outcome := 'shown'; END IF;
  ELSIF outcome = 'made' THEN
    PERFORM start_conversation(p_id, 'dm', NULL, NULL, p_user_id,
      CASE WHEN low = high THEN ARRAY[low] ELSE ARRAY[low, high] END);
    UPDATE conversation_members m SET blocked = true FROM blocks b
      WHERE b.user_id = p_user_id AND b.blocked_id = p_peer_id
        AND m.conversation_id = p_id AND m.user_id = p_peer_id;
  END IF;
END $$;

-- For nodes of release 0.1.0: opens a DM, and returns no row when it is refused.
CREATE OR REPLACE FUNCTION create_direct(p_id uuid, p_creator_id uuid, p_peer_id uuid)
RETURNS TABLE (conversation_id uuid, created boolean) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN QUERY SELECT o.conversation_id, o.outcome = 'made' FROM open_direct(p_id, p_creator_id, p_peer_id) o
    WHERE o.outcome IN ('made', 'known', 'shown');
END $$;

-- Creates a group. Outcomes: made · known (a retry under its key) · reused (the key belongs to another request) ·
-- those of refusal_to_meet.
CREATE OR REPLACE FUNCTION make_group(
  p_id uuid, p_creator_id uuid, p_title text, p_avatar_url text, p_member_ids uuid[], p_key text,
  p_request_hash bytea, OUT outcome text, OUT conversation_id uuid
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  IF p_key IS NOT NULL THEN
    SELECT CASE WHEN k.request_hash = p_request_hash THEN 'known' ELSE 'reused' END, k.result_id
      INTO outcome, conversation_id FROM idempotency_keys k
      WHERE k.user_id = p_creator_id AND k.key = p_key
        AND k.created_at >= clock_timestamp() - idempotency_window();
    IF FOUND THEN RETURN; END IF;
  END IF;
  PERFORM FROM users u WHERE u.id = ANY (p_member_ids) ORDER BY u.id FOR SHARE;
  outcome := refusal_to_meet(p_creator_id, p_member_ids);
  IF outcome IS NOT NULL THEN RETURN; END IF;
  IF p_key IS NOT NULL THEN
    INSERT INTO idempotency_keys AS k (user_id, key, request_hash, result_id)
      VALUES (p_creator_id, p_key, p_request_hash, p_id)
      ON CONFLICT (user_id, key) DO UPDATE
        SET request_hash = EXCLUDED.request_hash, result_id = EXCLUDED.result_id, created_at = EXCLUDED.created_at
        WHERE k.created_at < clock_timestamp() - idempotency_window();
    IF NOT FOUND THEN
      SELECT CASE WHEN k.request_hash = p_request_hash THEN 'known' ELSE 'reused' END, k.result_id
        INTO outcome, conversation_id FROM idempotency_keys k WHERE k.user_id = p_creator_id AND k.key = p_key;
      RETURN;
    END IF;
  END IF;
  PERFORM start_conversation(p_id, 'group', p_title, p_avatar_url, p_creator_id, p_member_ids);
  outcome := 'made';
  conversation_id := p_id;
END $$;

-- Changes the settings of a conversation. p_change has the fields to set: title, avatarUrl, historyForNewMembers and
-- messageLifetimeSeconds. Both members of a DM may change messageLifetimeSeconds, and nothing else of it. The event has
-- the fields whose value changed.
CREATE OR REPLACE FUNCTION update_group(p_conversation_id uuid, p_actor_id uuid, p_change jsonb)
RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  result changed;
  me record;
  changes jsonb;
  lifetime int;
BEGIN
  SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
  SELECT COALESCE(jsonb_object_agg(e.key, e.value), '{}') INTO changes
    FROM conversations c
    CROSS JOIN LATERAL jsonb_each(jsonb_build_object('title', c.title, 'avatarUrl', c.avatar_url,
      'historyForNewMembers', c.history_for_new_members, 'messageLifetimeSeconds', c.message_lifetime_seconds))
      AS old(key, value)
    JOIN jsonb_each(p_change) AS e(key, value) ON e.key = old.key AND e.value <> old.value
    WHERE c.id = p_conversation_id;
  result.outcome := CASE
    WHEN me.role IS NULL THEN 'not-a-member'
    WHEN is_blocked(p_conversation_id, p_actor_id) THEN 'blocked'
    WHEN me.kind <> 'group' AND (p_change = '{}' OR p_change - 'messageLifetimeSeconds' <> '{}') THEN 'not-a-group'
    WHEN me.kind = 'group' AND (me.role = 'member'
      OR (me.role = 'admin' AND p_change ?| '{historyForNewMembers,messageLifetimeSeconds}')) THEN 'forbidden'
    WHEN changes = '{}' THEN 'unchanged'
    ELSE 'changed' END;
  IF result.outcome <> 'changed' THEN RETURN result; END IF;
  lifetime := changes ->> 'messageLifetimeSeconds';
  UPDATE conversations c SET
      title = CASE WHEN changes ? 'title' THEN changes ->> 'title' ELSE c.title END,
      avatar_url = CASE WHEN changes ? 'avatarUrl' THEN changes ->> 'avatarUrl' ELSE c.avatar_url END,
      history_for_new_members = COALESCE(changes ->> 'historyForNewMembers', c.history_for_new_members),
      message_lifetime_seconds = CASE WHEN changes ? 'messageLifetimeSeconds' THEN lifetime
        ELSE c.message_lifetime_seconds END
    WHERE c.id = p_conversation_id;
  result.first_seq := add_event(p_conversation_id, 'conversation.updated', p_actor_id, NULL, changes);
  result.last_seq := result.first_seq;
  IF changes ? 'messageLifetimeSeconds' THEN
    UPDATE message_lifetimes l SET through_seq = result.last_seq
      WHERE l.conversation_id = p_conversation_id AND l.through_seq IS NULL;
    IF lifetime IS NOT NULL THEN
      INSERT INTO message_lifetimes (conversation_id, from_seq, seconds, done_seq, next_at)
        VALUES (p_conversation_id, result.last_seq, lifetime, result.last_seq,
          clock_timestamp() + make_interval(secs => lifetime));
    END IF;
  END IF;
  RETURN result;
END $$;

-- Changes the user's own settings of a conversation; the head need not be locked. p_change has the fields to set:
-- mutedUntil, archived, pinned and notify. Outcomes: changed · unchanged · not-a-member.
CREATE OR REPLACE FUNCTION change_settings(p_conversation_id uuid, p_user_id uuid, p_change jsonb)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  old conversation_members;
  new conversation_members;
BEGIN
  SELECT * INTO old FROM conversation_members m
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id AND m.left_seq IS NULL
    FOR NO KEY UPDATE;
  IF old.user_id IS NULL THEN RETURN 'not-a-member'; END IF;
  new := old;
  IF p_change ? 'mutedUntil' THEN new.muted_until := p_change ->> 'mutedUntil'; END IF;
  new.archived := COALESCE((p_change ->> 'archived')::boolean, old.archived);
  new.pinned := COALESCE((p_change ->> 'pinned')::boolean, old.pinned);
  new.notify := COALESCE(p_change ->> 'notify', old.notify);
  IF new = old THEN RETURN 'unchanged'; END IF;
  UPDATE conversation_members m SET muted_until = new.muted_until, archived = new.archived, pinned = new.pinned,
      notify = new.notify, user_seq = s.seq
    FROM next_user_seqs(ARRAY[p_user_id]) s
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id;
  RETURN 'changed';
END $$;
