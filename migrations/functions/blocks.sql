-- Blocks. In a DM the blocked user is marked in their own membership, which the append reads anyway, so that a block
-- costs a send nothing.

-- Makes blocking, unblocking and the creation of a DM take turns for a pair of users. Otherwise a DM that is created
-- while its peer blocks the creator could miss the mark.
CREATE OR REPLACE FUNCTION lock_pair(p_user_id uuid, p_other_id uuid) RETURNS void LANGUAGE sql VOLATILE AS $$
  SELECT pg_advisory_xact_lock(
    hashtextextended(LEAST(p_user_id, p_other_id)::text || GREATEST(p_user_id, p_other_id)::text, 0))
$$;

-- Blocks or unblocks p_other_id. Outcomes: changed · unchanged · no-user.
CREATE OR REPLACE FUNCTION set_block(p_user_id uuid, p_other_id uuid, p_blocked boolean)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  dm uuid;
  own bigint;
BEGIN
  PERFORM lock_pair(p_user_id, p_other_id);
  IF p_blocked THEN
    IF NOT EXISTS (SELECT FROM users u WHERE u.id = p_other_id AND u.deleted_at IS NULL) THEN
      RETURN 'no-user';
    END IF;
    INSERT INTO blocks (user_id, blocked_id) VALUES (p_user_id, p_other_id) ON CONFLICT DO NOTHING;
  ELSE
    DELETE FROM blocks WHERE user_id = p_user_id AND blocked_id = p_other_id;
  END IF;
  IF NOT FOUND THEN
    RETURN 'unchanged';
  END IF;
  SELECT d.conversation_id INTO dm FROM direct_conversations d
    WHERE d.user_low = LEAST(p_user_id, p_other_id) AND d.user_high = GREATEST(p_user_id, p_other_id);
  PERFORM FROM conversation_heads h WHERE h.conversation_id = dm FOR UPDATE;
  UPDATE conversation_members m SET blocked = p_blocked WHERE m.conversation_id = dm AND m.user_id = p_other_id;
  SELECT s.seq INTO own FROM next_user_seqs(ARRAY[p_user_id]) s;
  UPDATE blocks b SET user_seq = own WHERE b.user_id = p_user_id AND b.blocked_id = p_other_id;
  RETURN 'changed';
END $$;
