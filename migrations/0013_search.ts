import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * Full text search. The words of messages are indexed behind the append, from the log, in small steps: an index on
 * `messages` itself makes a batch of appends cost the database a third more. Who searches also looks through what is
 * not indexed yet, so that the index is only ever late, never wrong.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // A tsvector has at most 1 MB.
  yield* sql`
    CREATE FUNCTION searchable(p_body text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
      SELECT to_tsvector('simple', left(p_body, 100000))
    $$`

  // Beside its words a message has two lexemes of ours, so that one index serves a search in few conversations and one
  // in recent weeks. No word has a space.
  yield* sql`
    CREATE FUNCTION conversation_lexeme(p_conversation_id uuid) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
      SELECT 'c ' || p_conversation_id
    $$`
  yield* sql`
    CREATE FUNCTION week_lexeme(p_at timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
      SELECT 'w ' || floor(extract(epoch FROM p_at) / 604800)::int
    $$`

  yield* sql`
    CREATE TABLE message_words (
      conversation_id uuid NOT NULL,
      seq bigint NOT NULL,
      sender_id uuid NOT NULL,
      created_at timestamptz(3) NOT NULL,
      words tsvector NOT NULL,
      PRIMARY KEY (conversation_id, seq)
    )`
  yield* sql`CREATE INDEX message_words_words ON message_words USING gin (words)`

  // Up to where the log of a conversation is indexed.
  yield* sql`
    CREATE TABLE search_heads (
      conversation_id uuid PRIMARY KEY,
      seq bigint NOT NULL
    ) WITH (fillfactor = 50)`

  // A step: indexes what is new in the conversations after p_after, of which it looks at p_conversations, and at most
  // about p_events of their logs. No row while another node does it; next_id is null when that was the last one.
  yield* sql`
    CREATE FUNCTION index_messages(p_after uuid, p_conversations int, p_events int)
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
        -- What was edited or deleted, and then what is there now of that and of what is new.
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
          ) news JOIN messages m ON m.conversation_id = news.id AND m.seq = news.seq
          WHERE m.deleted_at IS NULL;
        INSERT INTO search_heads AS s (conversation_id, seq) SELECT * FROM unnest(ids, throughs)
          ON CONFLICT (conversation_id) DO UPDATE SET seq = EXCLUDED.seq;
      END IF;
      RETURN NEXT;
    END $$`
})
