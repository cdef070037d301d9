-- Read markers and delivered markers. A message that was read has also been delivered. The
-- column told says whether the other members are notified of the move, which they are not in a large conversation, nor in a
-- DM when the other member has blocked the user.

-- True when the members of a conversation are notified of each other's markers: it has at most 100 members.
CREATE OR REPLACE FUNCTION is_small(p_conversation_id uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT count(*) <= 100 FROM (
    SELECT FROM conversation_members m WHERE m.conversation_id = p_conversation_id AND m.left_seq IS NULL LIMIT 101
  ) at_most_101
$$;

-- Moves delivered markers forward, for a batch; takes no user seqs. A pair of conversation and user must not occur
-- twice in one batch. Returns rows for members only.
CREATE OR REPLACE FUNCTION mark_delivered(p_conversation_ids uuid[], p_user_ids uuid[], p_seqs bigint[])
RETURNS TABLE (ord int, seq bigint, changed boolean, told boolean)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
  PERFORM FROM conversation_members m
    JOIN unnest(p_conversation_ids, p_user_ids) AS e(conversation_id, user_id)
      ON m.conversation_id = e.conversation_id AND m.user_id = e.user_id
    ORDER BY m.conversation_id, m.user_id FOR NO KEY UPDATE OF m;
  RETURN QUERY
  WITH wanted AS MATERIALIZED (
    SELECT e.ord, e.conversation_id, e.user_id, LEAST(e.seq, h.seq) AS new_seq,
      GREATEST(m.delivered_seq, m.read_seq) AS old_seq, m.blocked
    FROM unnest(p_conversation_ids, p_user_ids, p_seqs) WITH ORDINALITY AS e(conversation_id, user_id, seq, ord)
    JOIN conversation_members m
      ON m.conversation_id = e.conversation_id AND m.user_id = e.user_id AND m.left_seq IS NULL
    JOIN conversation_heads h ON h.conversation_id = e.conversation_id
  ), updated AS (
    UPDATE conversation_members m SET delivered_seq = w.new_seq FROM wanted w
    WHERE w.new_seq > w.old_seq AND m.conversation_id = w.conversation_id AND m.user_id = w.user_id
  )
  SELECT w.ord::int, GREATEST(w.old_seq, w.new_seq), w.new_seq > w.old_seq,
    w.new_seq > w.old_seq AND NOT w.blocked AND is_small(w.conversation_id)
  FROM wanted w ORDER BY w.ord;
END $$;

-- Moves read markers, for a batch; an entry that moves nothing takes no user seq. p_forces allows a marker to move
-- back, and a message that is marked as unread stays delivered. A pair of conversation and user must not occur twice in
-- one batch. Returns rows for members only. Sending a message moves read_seq without this function: every reader of
-- delivered_seq takes the greater one of the two.
CREATE OR REPLACE FUNCTION mark_read(p_conversation_ids uuid[], p_user_ids uuid[], p_seqs bigint[], p_forces boolean[])
RETURNS TABLE (ord int, read_seq bigint, user_seq bigint, changed boolean, told boolean)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
  PERFORM FROM conversation_members m
    JOIN unnest(p_conversation_ids, p_user_ids) AS e(conversation_id, user_id)
      ON m.conversation_id = e.conversation_id AND m.user_id = e.user_id
    ORDER BY m.conversation_id, m.user_id FOR NO KEY UPDATE OF m;
  PERFORM FROM user_heads u WHERE u.user_id = ANY (p_user_ids) ORDER BY u.user_id FOR NO KEY UPDATE;
  RETURN QUERY
  WITH wanted AS MATERIALIZED (
    SELECT e.ord, e.conversation_id, e.user_id, m.blocked, m.read_seq AS old_seq,
      CASE WHEN e.force
        THEN LEAST(GREATEST(e.seq, m.visible_from_seq - 1), h.seq)
        ELSE GREATEST(m.read_seq, LEAST(e.seq, h.seq)) END AS new_seq
    FROM unnest(p_conversation_ids, p_user_ids, p_seqs, p_forces) WITH ORDINALITY
      AS e(conversation_id, user_id, seq, force, ord)
    JOIN conversation_members m
      ON m.conversation_id = e.conversation_id AND m.user_id = e.user_id AND m.left_seq IS NULL
    JOIN conversation_heads h ON h.conversation_id = e.conversation_id
  ), moved AS MATERIALIZED (
    SELECT w.*, row_number() OVER (PARTITION BY w.user_id ORDER BY w.ord) AS place
    FROM wanted w WHERE w.new_seq <> w.old_seq
  ), user_head AS (
    INSERT INTO user_heads AS u (user_id, seq)
    SELECT moved.user_id, max(moved.place) FROM moved GROUP BY moved.user_id ORDER BY moved.user_id
    ON CONFLICT (user_id) DO UPDATE SET seq = u.seq + EXCLUDED.seq
    RETURNING u.user_id, u.seq
  ), updated AS (
    UPDATE conversation_members m
    SET read_seq = v.new_seq, user_seq = user_head.seq - v.places + v.place,
      delivered_seq = GREATEST(m.delivered_seq, v.old_seq, v.new_seq)
    FROM (SELECT moved.*, max(moved.place) OVER (PARTITION BY moved.user_id) AS places FROM moved) v
    JOIN user_head ON user_head.user_id = v.user_id
    WHERE m.conversation_id = v.conversation_id AND m.user_id = v.user_id
    RETURNING m.conversation_id, m.user_id, m.user_seq
  )
  SELECT w.ord::int, w.new_seq, u.user_seq, u.user_seq IS NOT NULL,
    u.user_seq IS NOT NULL AND NOT w.blocked AND is_small(w.conversation_id)
  FROM wanted w LEFT JOIN updated u ON u.conversation_id = w.conversation_id AND u.user_id = w.user_id
  ORDER BY w.ord;
END $$;
