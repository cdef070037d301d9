-- Mentions: resolving the names in a body to users, and the rows by which unread mentions are counted.

-- Resolves the names in a body to the ids of the mentioned members, or NULL for none. Each name comes in the forms that
-- it may have (domain/Mentions.ts). The name "all" in a text of an owner or admin stands for all members.
CREATE OR REPLACE FUNCTION resolve_mentions(p_conversation_id uuid, p_writer_id uuid, p_names json)
RETURNS uuid[] LANGUAGE sql STABLE AS $$
  WITH name AS (
    SELECT n.place, f.form, f.rank FROM json_array_elements(p_names) WITH ORDINALITY AS n(forms, place)
    CROSS JOIN json_array_elements_text(n.forms) WITH ORDINALITY AS f(form, rank)
  ), called AS (
    SELECT DISTINCT ON (c.place) c.place, c.id FROM (
      SELECT name.place, name.rank, u.id FROM name
        JOIN users u ON u.username = name.form AND u.deleted_at IS NULL
        JOIN conversation_members m
          ON m.conversation_id = p_conversation_id AND m.user_id = u.id AND m.left_seq IS NULL
        WHERE name.form <> 'all'
      UNION ALL
      SELECT name.place, name.rank, mentions_everybody() FROM name
        JOIN conversation_members m
          ON m.conversation_id = p_conversation_id AND m.user_id = p_writer_id AND m.role <> 'member'
        WHERE name.form = 'all'
    ) c ORDER BY c.place, c.rank
  )
  SELECT array_agg(first.id ORDER BY first.place)
  FROM (SELECT called.id, min(called.place) AS place FROM called GROUP BY called.id) first
$$;

-- Inserts the rows of a message's mentions. A user who is named together with everybody is counted once.
CREATE OR REPLACE FUNCTION add_mentions(p_conversation_id uuid, p_root_seq bigint, p_seq bigint, p_mentions uuid[])
RETURNS void LANGUAGE sql VOLATILE AS $$
  INSERT INTO mentions (conversation_id, user_id, thread_root_seq, seq)
  SELECT p_conversation_id, id, COALESCE(p_root_seq, 0), p_seq FROM unnest(p_mentions) AS id
  WHERE id = mentions_everybody() OR mentions_everybody() <> ALL (p_mentions)
$$;

-- Replaces the mentions of a message.
CREATE OR REPLACE FUNCTION set_mentions(p_conversation_id uuid, p_seq bigint, p_mentions uuid[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  message record;
BEGIN
  SELECT m.mentions, m.thread_root_seq INTO message FROM messages m
    WHERE m.id = message_at(p_conversation_id, p_seq);
  IF message.mentions IS NOT DISTINCT FROM p_mentions THEN
    RETURN;
  END IF;
  DELETE FROM mentions x WHERE x.conversation_id = p_conversation_id AND x.user_id = ANY (message.mentions)
    AND x.thread_root_seq = COALESCE(message.thread_root_seq, 0) AND x.seq = p_seq;
  UPDATE messages m SET mentions = p_mentions WHERE m.id = message_at(p_conversation_id, p_seq);
  PERFORM add_mentions(p_conversation_id, message.thread_root_seq, p_seq, p_mentions);
END $$;
