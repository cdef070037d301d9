-- What release 0.1.0 calls to index messages and to find those that are not indexed. Nodes of later releases make the words
-- themselves (0008_tokenizer.sql), and write the words again that index_messages() has made. This file is to be deleted in
-- the release after the first one that does not call it.

-- Turns a body into the words of the index. A tsvector holds at most 1 MB. A letter and its accent are composed to one
-- character, as in a query: some keyboards write two, which the parser would take apart.
CREATE OR REPLACE FUNCTION searchable(p_body text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT to_tsvector('simple', normalize(left(p_body, 100000), NFC))
$$;

-- Each message has two lexemes in addition to its words: one for its conversation, and one for its week. With them the
-- same index serves a search in a few conversations and one in recent weeks. No word contains a space, so that they
-- never equal a word.
CREATE OR REPLACE FUNCTION conversation_lexeme(p_conversation_id uuid)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT 'c ' || p_conversation_id
$$;

-- See conversation_lexeme.
CREATE OR REPLACE FUNCTION week_lexeme(p_at timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT 'w ' || floor(extract(epoch FROM p_at) / 604800)::int
$$;

-- Does one step of indexing: looks at p_conversations conversations after p_after, and indexes at most about p_events
-- of their log entries. Returns no row while another node does a step; next_id is null when there are no further
-- conversations.
CREATE OR REPLACE FUNCTION index_messages(p_after uuid, p_conversations int, p_events int)
RETURNS TABLE (next_id uuid, indexed bigint) LANGUAGE plpgsql VOLATILE SET enable_seqscan = off AS $$
DECLARE
  looked int;
  ids uuid[];
  froms bigint[];
  throughs bigint[];
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('index_messages')) THEN RETURN; END IF;
  WITH heads AS MATERIALIZED (
    SELECT h.conversation_id, h.seq FROM conversation_heads h WHERE h.conversation_id > p_after
    ORDER BY h.conversation_id LIMIT p_conversations
  ), behind AS (
    SELECT h.conversation_id, COALESCE(s.seq, 0) AS seq, LEAST(h.seq, COALESCE(s.seq, 0) + p_events) AS through
    FROM heads h LEFT JOIN search_heads s ON s.conversation_id = h.conversation_id
    WHERE h.seq > COALESCE(s.seq, 0)
  ), counted AS (
    SELECT b.*, sum(b.through - b.seq) OVER (ORDER BY b.conversation_id) - (b.through - b.seq) AS before FROM behind b
  ), chosen AS (
    SELECT c.* FROM counted c WHERE c.before < p_events
  )
  SELECT (SELECT count(*) FROM heads), array_agg(c.conversation_id ORDER BY c.conversation_id),
    array_agg(c.seq ORDER BY c.conversation_id), array_agg(c.through ORDER BY c.conversation_id),
    CASE WHEN (SELECT count(*) FROM chosen) < (SELECT count(*) FROM behind) THEN max(c.conversation_id::text)::uuid
      ELSE (SELECT max(h.conversation_id::text)::uuid FROM heads h) END,
    COALESCE(sum(c.through - c.seq), 0)
    INTO looked, ids, froms, throughs, next_id, indexed FROM chosen c;
  IF looked < p_conversations AND (ids IS NULL OR indexed < p_events) THEN next_id := NULL; END IF;
  IF ids IS NOT NULL THEN
    -- Remove the words of messages that were edited or deleted, then insert those of edited and new messages.
    DELETE FROM message_words w USING unnest(ids, froms, throughs) AS b(id, after, through)
      JOIN conversation_events e ON e.conversation_id = b.id AND e.seq > b.after AND e.seq <= b.through
      WHERE e.event IN ('message.edited', 'message.deleted')
        AND w.conversation_id = e.conversation_id AND w.seq = e.message_seq;
    INSERT INTO message_words (conversation_id, seq, sender_id, created_at, words)
      SELECT m.conversation_id, m.seq, m.sender_id, m.created_at, searchable(m.body) || array_to_tsvector(
        ARRAY[conversation_lexeme(m.conversation_id), week_lexeme(m.created_at)])
      FROM (
        SELECT b.id, m.seq FROM unnest(ids, froms, throughs) AS b(id, after, through)
          JOIN messages m ON m.conversation_id = b.id AND m.seq > b.after AND m.seq <= b.through
        UNION
        SELECT b.id, e.message_seq FROM unnest(ids, froms, throughs) AS b(id, after, through)
          JOIN conversation_events e ON e.conversation_id = b.id AND e.seq > b.after AND e.seq <= b.through
          WHERE e.event = 'message.edited'
      ) touched JOIN messages m ON m.conversation_id = touched.id AND m.seq = touched.seq
      WHERE m.deleted_at IS NULL;
    INSERT INTO search_heads AS s (conversation_id, seq) SELECT * FROM unnest(ids, throughs)
      ON CONFLICT (conversation_id) DO UPDATE SET seq = EXCLUDED.seq;
  END IF;
  RETURN NEXT;
END $$;
