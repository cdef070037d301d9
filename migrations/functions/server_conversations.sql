-- The groups of the application that the service belongs to.

-- Makes the group of a key, or changes it: p_change has the fields to set, as for update_group, and p_member_ids are all its
-- members from then on, or NULL to leave them. The first member of a new group becomes its owner. The changes are made in
-- the name of the owner who joined first. Nobody's block and who_may_add_me keep a user out: the application decides.
-- user_ids are those who joined and left. Outcomes: changed · unchanged · no-user · no-members (a group without members
-- needs some).
CREATE OR REPLACE FUNCTION put_conversation(
  p_key text, p_id uuid, p_change jsonb, p_member_ids uuid[], p_actor text
) RETURNS TABLE (outcome text, first_seq bigint, last_seq bigint, conversation_id uuid, created boolean, user_ids uuid[])
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  head bigint;
  owner_id uuid;
  fresh uuid[] := '{}';
  gone uuid[] := '{}';
  one uuid;
BEGIN
  created := false;
  outcome := 'unchanged';
  SELECT k.conversation_id INTO conversation_id FROM conversation_keys k WHERE k.key = p_key;
  IF NOT FOUND THEN
    IF COALESCE(cardinality(p_member_ids), 0) = 0 THEN
      outcome := 'no-members';
    ELSE
      PERFORM FROM users u WHERE u.id = ANY (p_member_ids) ORDER BY u.id FOR SHARE;
      IF refusal_to_add(p_member_ids[1], p_member_ids) = 'no-user' THEN outcome := 'no-user'; END IF;
    END IF;
    IF outcome <> 'unchanged' THEN
      RETURN NEXT;
      RETURN;
    END IF;
    INSERT INTO conversation_keys AS k (key, conversation_id) VALUES (p_key, p_id) ON CONFLICT (key) DO NOTHING;
    created := FOUND;
    SELECT k.conversation_id INTO STRICT conversation_id FROM conversation_keys k WHERE k.key = p_key;
  END IF;

  IF created THEN
    PERFORM start_conversation(p_id, 'group', p_change ->> 'title', p_change ->> 'avatarUrl', p_member_ids[1],
      p_member_ids);
    fresh := p_member_ids;
    outcome := 'changed';
  ELSE
    SELECT h.seq INTO head FROM conversation_heads h
      WHERE h.conversation_id = put_conversation.conversation_id FOR UPDATE;
    PERFORM FROM users u WHERE u.id = ANY (p_member_ids) ORDER BY u.id FOR SHARE;
    SELECT m.user_id INTO owner_id FROM conversation_members m
      WHERE m.conversation_id = put_conversation.conversation_id AND m.left_seq IS NULL AND m.role = 'owner'
      ORDER BY m.joined_seq, m.user_id LIMIT 1;
    IF p_member_ids IS NOT NULL THEN
      SELECT COALESCE(array_agg(e.id ORDER BY e.ord), '{}') INTO fresh
        FROM unnest(p_member_ids) WITH ORDINALITY AS e(id, ord)
        WHERE NOT EXISTS (SELECT FROM conversation_members m WHERE m.conversation_id = put_conversation.conversation_id
          AND m.user_id = e.id AND m.left_seq IS NULL OFFSET 0);
      -- The owner in whose name the others are removed goes last.
      SELECT COALESCE(array_agg(m.user_id ORDER BY m.user_id = owner_id, m.user_id), '{}') INTO gone
        FROM conversation_members m WHERE m.conversation_id = put_conversation.conversation_id AND m.left_seq IS NULL
          AND m.user_id <> ALL (p_member_ids);
    END IF;
    outcome := CASE
      WHEN owner_id IS NULL AND cardinality(fresh) = 0 THEN 'no-members'
      WHEN refusal_to_add(COALESCE(owner_id, fresh[1]), fresh) = 'no-user' THEN 'no-user'
      ELSE outcome END;
    IF outcome <> 'unchanged' THEN
      RETURN NEXT;
      RETURN;
    END IF;
    PERFORM FROM conversation_members m WHERE m.conversation_id = put_conversation.conversation_id
      AND (m.user_id = ANY (fresh) OR m.user_id = ANY (gone)) ORDER BY m.user_id FOR NO KEY UPDATE;
    IF cardinality(fresh) > 0 THEN
      PERFORM join_group(conversation_id, COALESCE(owner_id, fresh[1]), fresh);
    END IF;
    IF owner_id IS NULL THEN
      owner_id := fresh[1];
      UPDATE conversation_members m SET role = 'owner'
        WHERE m.conversation_id = put_conversation.conversation_id AND m.user_id = owner_id;
      PERFORM add_event(conversation_id, 'member.role-changed', owner_id, NULL,
        jsonb_build_object('userId', owner_id, 'role', 'owner'));
    END IF;
    PERFORM update_group(conversation_id, owner_id, p_change);
    FOREACH one IN ARRAY gone LOOP
      PERFORM remove_member(conversation_id, owner_id, one);
    END LOOP;
    UPDATE conversation_members m SET removed = true
      WHERE m.conversation_id = put_conversation.conversation_id AND m.user_id = ANY (gone);
    SELECT h.seq INTO last_seq FROM conversation_heads h WHERE h.conversation_id = put_conversation.conversation_id;
    IF last_seq > head THEN
      outcome := 'changed';
      first_seq := head + 1;
    ELSE
      last_seq := NULL;
    END IF;
  END IF;
  user_ids := fresh || gone;
  IF outcome = 'changed' THEN
    PERFORM add_audit(p_actor, 'server.upsertConversation', 'conversation', conversation_id::text, jsonb_build_object(
      'externalKey', p_key, 'created', created, 'joined', cardinality(fresh), 'left', cardinality(gone)));
  END IF;
  RETURN NEXT;
END $$;
