-- Threads and the read markers in them.

-- Returns the place in a thread of its first reply whose seq is at least p_seq, or the place that its next reply will get
-- when there is none. The places of a thread are dense and in the order of seq, so a binary search finds it, and each
-- step is one index lookup whatever the planner knows of the table: only one index is in the order of thread_place.
CREATE OR REPLACE FUNCTION thread_place_of(p_conversation_id uuid, p_root_seq bigint, p_seq bigint)
RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE
  low int := 1;
  high int;
  middle int;
BEGIN
  SELECT m.thread_reply_count + 1 INTO high FROM messages m WHERE m.id = message_at(p_conversation_id, p_root_seq);
  IF p_seq <= p_root_seq THEN RETURN LEAST(low, high); END IF;
  WHILE low < high LOOP
    middle := (low + high) / 2;
    IF (SELECT m.seq FROM messages m WHERE m.conversation_id = p_conversation_id AND m.thread_root_seq = p_root_seq
      AND m.thread_place >= middle ORDER BY m.thread_place LIMIT 1) >= p_seq
    THEN high := middle;
    ELSE low := middle + 1;
    END IF;
  END LOOP;
  RETURN low;
END $$;

-- Returns the seq of the root of the thread to which a message belongs: the message may be a root, or a reply, or
-- without replies so far. p_visible is the first seq that the member may see. A root before it is found when the member
-- may see one of its replies, and so knows its id.
CREATE OR REPLACE FUNCTION thread_root(p_conversation_id uuid, p_visible bigint, p_message_id uuid)
RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
  SELECT COALESCE(m.thread_root_seq, m.seq)
  FROM (SELECT * FROM messages WHERE messages.id = p_message_id OFFSET 0) m
  WHERE m.conversation_id = p_conversation_id AND (m.seq >= p_visible
    OR thread_place_of(p_conversation_id, m.seq, p_visible) <= m.thread_reply_count)
$$;

-- Moves the user's read marker in a thread forward. It changes which mentions are unread, so the user's own state has
-- changed. Outcomes: changed · unchanged · no-message.
CREATE OR REPLACE FUNCTION mark_thread(p_conversation_id uuid, p_user_id uuid, p_message_id uuid, p_seq bigint)
RETURNS TABLE (outcome text) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  visible bigint;
  root bigint;
  upto bigint;
BEGIN
  SELECT m.visible_from_seq INTO visible FROM conversation_members m
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id AND m.left_seq IS NULL
    FOR NO KEY UPDATE;
  root := thread_root(p_conversation_id, visible, p_message_id);
  IF root IS NULL THEN
    RETURN QUERY SELECT 'no-message';
    RETURN;
  END IF;
  SELECT LEAST(p_seq, h.seq) INTO upto FROM conversation_heads h WHERE h.conversation_id = p_conversation_id;
  INSERT INTO thread_members AS t (conversation_id, root_seq, user_id, read_seq)
    SELECT p_conversation_id, root, p_user_id, upto WHERE upto > root
    ON CONFLICT (conversation_id, root_seq, user_id) DO UPDATE SET read_seq = EXCLUDED.read_seq
      WHERE t.read_seq < EXCLUDED.read_seq;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'unchanged';
    RETURN;
  END IF;
  UPDATE conversation_members m SET user_seq = (SELECT u.seq FROM next_user_seqs(ARRAY[p_user_id]) u)
    WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id;
  RETURN QUERY SELECT 'changed';
END $$;
