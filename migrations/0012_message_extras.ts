import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * What a message may have beyond its text: a place in a thread, mentions, a payload by its type, a poll's votes. The
 * append takes all of it in one nullable parameter, so that a plain message costs what it did.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // thread_place: the n-th reply of its thread, and so the count that came with it. Replies are counted for ever, also
  // deleted ones, which keep their places. payload is json, not jsonb: it is given back as it was sent. The nil UUID
  // among mentions stands for everybody. votes: how many for each option of a poll.
  yield* sql`
    ALTER TABLE messages
      ADD COLUMN thread_root_id uuid,
      ADD COLUMN thread_place int,
      ADD COLUMN thread_reply_count int NOT NULL DEFAULT 0,
      ADD COLUMN mentions uuid[],
      ADD COLUMN payload json,
      ADD COLUMN votes int[]`
  yield* sql`
    CREATE INDEX messages_thread ON messages (conversation_id, thread_root_seq, seq) WHERE thread_root_seq IS NOT NULL`

  // Who replied in a thread, and how far its readers have read: a row is made by the first of the two.
  yield* sql`
    CREATE TABLE thread_members (
      conversation_id uuid NOT NULL,
      root_seq bigint NOT NULL,
      user_id uuid NOT NULL,
      read_seq bigint NOT NULL,
      last_reply_seq bigint,
      PRIMARY KEY (conversation_id, root_seq, user_id)
    )`

  // By whom mentions are counted: one row for each who is named, and a single one, of the nil UUID, for everybody.
  // thread_root_seq is 0 outside of threads.
  yield* sql`
    CREATE TABLE mentions (
      conversation_id uuid NOT NULL,
      user_id uuid NOT NULL,
      thread_root_seq bigint NOT NULL,
      seq bigint NOT NULL,
      PRIMARY KEY (conversation_id, user_id, thread_root_seq, seq)
    )`

  yield* sql`
    CREATE TABLE poll_votes (
      conversation_id uuid NOT NULL,
      message_seq bigint NOT NULL,
      user_id uuid NOT NULL,
      options int[] NOT NULL,
      PRIMARY KEY (conversation_id, message_seq, user_id)
    )`

  // Whom a text mentions, by the names in it, each in the forms that it may have (domain/Mentions.ts): members by their
  // usernames, and everybody when an owner or admin writes "all". Null for nobody.
  yield* sql`
    CREATE FUNCTION resolve_mentions(p_conversation_id uuid, p_writer_id uuid, p_names json)
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
          SELECT name.place, name.rank, '00000000-0000-0000-0000-000000000000' FROM name
            JOIN conversation_members m
              ON m.conversation_id = p_conversation_id AND m.user_id = p_writer_id AND m.role <> 'member'
            WHERE name.form = 'all'
        ) c ORDER BY c.place, c.rank
      )
      SELECT array_agg(first.id ORDER BY first.place)
      FROM (SELECT called.id, min(called.place) AS place FROM called GROUP BY called.id) first
    $$`

  // Who is named together with everybody is counted once.
  yield* sql`
    CREATE FUNCTION add_mentions(p_conversation_id uuid, p_root_seq bigint, p_seq bigint, p_mentions uuid[])
    RETURNS void LANGUAGE sql VOLATILE AS $$
      INSERT INTO mentions (conversation_id, user_id, thread_root_seq, seq)
      SELECT p_conversation_id, id, COALESCE(p_root_seq, 0), p_seq FROM unnest(p_mentions) AS id
      WHERE id = '00000000-0000-0000-0000-000000000000'
        OR '00000000-0000-0000-0000-000000000000' <> ALL (p_mentions)
    $$`

  // What a message mentions, in place of what it mentioned before.
  yield* sql`
    CREATE FUNCTION set_mentions(p_conversation_id uuid, p_seq bigint, p_mentions uuid[])
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
    END $$`

  yield* sql`
    ALTER TYPE appended
      ADD ATTRIBUTE thread_root_id uuid,
      ADD ATTRIBUTE thread_root_seq bigint,
      ADD ATTRIBUTE thread_place int,
      ADD ATTRIBUTE mentions uuid[],
      ADD ATTRIBUTE votes int[]`

  // The seq of the root of a thread that the member may see from p_visible on: of a message without replies so far, of one
  // with replies, or of any reply. A root before p_visible is found when one of its replies is not: then its id is known.
  yield* sql`
    CREATE FUNCTION thread_root(p_conversation_id uuid, p_visible bigint, p_message_id uuid)
    RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
      SELECT COALESCE(m.thread_root_seq, m.seq)
      FROM (SELECT * FROM messages WHERE messages.id = p_message_id OFFSET 0) m
      WHERE m.conversation_id = p_conversation_id AND (m.seq >= p_visible
        OR EXISTS (SELECT FROM messages x WHERE x.conversation_id = p_conversation_id AND x.thread_root_seq = m.seq
          AND x.seq >= p_visible))
    $$`

  // As in 0003 (see there), where who is blocked sends nothing, and with what is beyond the text in p_extra {threadRoot,
  // names, payload}: null for a plain message, which then does nothing more than before. A reply is numbered under the
  // head's lock, and its sender has read its thread up to it, but no more of the conversation than before.
  yield* sql`DROP FUNCTION append_message(boolean, uuid, uuid, uuid, text, bytea, text, text, uuid)`
  yield* sql`
    CREATE FUNCTION append_message(
      p_wait boolean, p_conversation_id uuid, p_sender_id uuid, p_id uuid, p_client_message_id text,
      p_request_hash bytea, p_type text, p_body text, p_reply_to uuid, p_extra json DEFAULT NULL
    ) RETURNS appended LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      head bigint;
      visible bigint;
      is_blocked boolean;
      known record;
      payload json;
      result appended;
    BEGIN
      result.ord := 1;
      IF p_wait THEN
        SELECT h.seq INTO head FROM conversation_heads h WHERE h.conversation_id = p_conversation_id FOR UPDATE;
      ELSE
        SELECT h.seq INTO head FROM conversation_heads h WHERE h.conversation_id = p_conversation_id
          FOR UPDATE SKIP LOCKED;
        IF head IS NULL AND EXISTS (SELECT FROM conversation_heads h WHERE h.conversation_id = p_conversation_id) THEN
          result.outcome := 'locked';
          RETURN result;
        END IF;
      END IF;
      SELECT m.visible_from_seq, m.blocked INTO visible, is_blocked FROM conversation_members m
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_sender_id AND m.left_seq IS NULL
        FOR NO KEY UPDATE;
      IF visible IS NULL THEN
        result.outcome := 'not-a-member';
        RETURN result;
      END IF;
      SELECT m.id, m.seq, m.created_at, m.request_hash INTO known FROM messages m
        WHERE m.conversation_id = p_conversation_id AND m.sender_id = p_sender_id
          AND m.client_message_id = p_client_message_id;
      IF FOUND THEN
        result.outcome := CASE WHEN known.request_hash = p_request_hash THEN 'duplicate' ELSE 'reused' END;
        result.id := known.id;
        result.seq := known.seq;
        result.created_at := known.created_at;
        RETURN result;
      END IF;
      IF is_blocked THEN
        result.outcome := 'blocked';
        RETURN result;
      END IF;
      IF p_reply_to IS NOT NULL THEN
        SELECT m.seq, m.sender_id, left(m.body, 140), m.deleted_at IS NOT NULL
          INTO result.reply_seq, result.reply_sender_id, result.reply_excerpt, result.reply_deleted
          FROM (SELECT * FROM messages WHERE messages.id = p_reply_to OFFSET 0) m
          WHERE m.conversation_id = p_conversation_id AND m.seq >= visible;
        IF NOT FOUND THEN
          result.outcome := 'no-reply-target';
          RETURN result;
        END IF;
      END IF;
      IF p_extra IS NOT NULL THEN
        IF p_extra ->> 'threadRoot' IS NOT NULL THEN
          SELECT r.id, r.seq, r.thread_reply_count + 1
            INTO result.thread_root_id, result.thread_root_seq, result.thread_place
            FROM thread_root(p_conversation_id, visible, (p_extra ->> 'threadRoot')::uuid) root
            JOIN messages r ON r.id = message_at(p_conversation_id, root);
          IF NOT FOUND THEN
            result.outcome := 'no-thread-root';
            RETURN result;
          END IF;
        END IF;
        result.mentions := resolve_mentions(p_conversation_id, p_sender_id, p_extra -> 'names');
        payload := p_extra -> 'payload';
        IF p_type = 'poll' THEN
          result.votes := array_fill(0, ARRAY[json_array_length(payload -> 'options')]);
        END IF;
      END IF;
      result.outcome := 'stored';
      result.id := p_id;
      result.seq := head + 1;
      result.created_at := clock_timestamp();
      INSERT INTO messages (conversation_id, seq, id, sender_id, client_message_id, request_hash, type, body,
          reply_to_seq, thread_root_seq, created_at, changed_seq, thread_root_id, thread_place, mentions, payload, votes)
        VALUES (p_conversation_id, result.seq, p_id, p_sender_id, p_client_message_id, p_request_hash, p_type, p_body,
          result.reply_seq, result.thread_root_seq, result.created_at, result.seq, result.thread_root_id,
          result.thread_place, result.mentions, payload, result.votes);
      UPDATE conversation_heads h SET seq = result.seq, last_activity_at = result.created_at
        WHERE h.conversation_id = p_conversation_id;
      IF result.mentions IS NOT NULL THEN
        PERFORM add_mentions(p_conversation_id, result.thread_root_seq, result.seq, result.mentions);
      END IF;
      IF result.thread_root_seq IS NOT NULL THEN
        UPDATE messages m SET thread_reply_count = result.thread_place, changed_seq = result.seq
          WHERE m.id = result.thread_root_id;
        INSERT INTO thread_members AS t (conversation_id, root_seq, user_id, read_seq, last_reply_seq)
          VALUES (p_conversation_id, result.thread_root_seq, p_sender_id, result.seq, result.seq)
          ON CONFLICT (conversation_id, root_seq, user_id) DO UPDATE
            SET read_seq = GREATEST(t.read_seq, EXCLUDED.read_seq), last_reply_seq = EXCLUDED.last_reply_seq;
        RETURN result;
      END IF;
      UPDATE conversation_members m SET read_seq = GREATEST(m.read_seq, result.seq)
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_sender_id;
      RETURN result;
    END $$`

  // As in 0003 for plain messages. Where one of them has an extra (p_extras is not null) they are appended one by one, in
  // the same transaction and under the same locks, members in their order too.
  yield* sql`
    DROP FUNCTION append_messages(boolean, uuid[], uuid[], uuid[], text[], bytea[], text[], text[], uuid[])`
  yield* sql`
    CREATE FUNCTION append_messages(
      p_wait boolean, p_conversation_ids uuid[], p_sender_ids uuid[], p_ids uuid[], p_client_message_ids text[],
      p_request_hashes bytea[], p_types text[], p_bodies text[], p_reply_tos uuid[],
      p_extras json[] DEFAULT NULL
    ) RETURNS SETOF appended LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan
      SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    DECLARE
      locked uuid[];
      now timestamptz(3);
      one appended;
    BEGIN
      IF p_wait THEN
        SELECT array_agg(l.conversation_id) INTO locked FROM (
          SELECT h.conversation_id FROM conversation_heads h WHERE h.conversation_id = ANY (p_conversation_ids)
            ORDER BY h.conversation_id FOR UPDATE) l;
      ELSE
        SELECT array_agg(l.conversation_id) INTO locked FROM (
          SELECT h.conversation_id FROM conversation_heads h WHERE h.conversation_id = ANY (p_conversation_ids)
            ORDER BY h.conversation_id FOR UPDATE SKIP LOCKED) l;
      END IF;
      IF p_extras IS NOT NULL THEN
        PERFORM FROM conversation_members m
          JOIN unnest(p_conversation_ids, p_sender_ids) AS e(conversation_id, user_id)
            ON m.conversation_id = e.conversation_id AND m.user_id = e.user_id
          WHERE e.conversation_id = ANY (locked) ORDER BY m.conversation_id, m.user_id FOR NO KEY UPDATE OF m;
        FOR i IN 1 .. cardinality(p_ids) LOOP
          IF p_conversation_ids[i] = ANY (locked) THEN
            one := append_message(true, p_conversation_ids[i], p_sender_ids[i], p_ids[i], p_client_message_ids[i],
              p_request_hashes[i], p_types[i], p_bodies[i], p_reply_tos[i], p_extras[i]);
            one.ord := i;
          ELSE
            one := NULL;
            one.ord := i;
            one.outcome := CASE
              WHEN EXISTS (SELECT FROM conversation_heads h WHERE h.conversation_id = p_conversation_ids[i])
              THEN 'locked' ELSE 'not-a-member' END;
          END IF;
          RETURN NEXT one;
        END LOOP;
        RETURN;
      END IF;
      now := clock_timestamp();
      RETURN QUERY
      WITH checked AS MATERIALIZED (
        SELECT e.*, head.seq AS head_seq, known.id AS known_id, known.seq AS known_seq, known.created_at AS known_at,
          reply.seq AS reply_seq, reply.sender_id AS reply_sender_id, reply.excerpt AS reply_excerpt,
          reply.deleted AS reply_deleted,
          CASE
            WHEN head.seq IS NOT NULL AND NOT COALESCE(e.conversation_id = ANY (locked), false) THEN 'locked'
            WHEN member.visible_from_seq IS NULL THEN 'not-a-member'
            WHEN known.id IS NOT NULL AND known.request_hash = e.request_hash THEN 'duplicate'
            WHEN known.id IS NOT NULL THEN 'reused'
            WHEN member.blocked THEN 'blocked'
            WHEN e.reply_to IS NOT NULL AND reply.seq IS NULL THEN 'no-reply-target'
            ELSE 'stored'
          END AS outcome
        FROM unnest(p_conversation_ids, p_sender_ids, p_ids, p_client_message_ids, p_request_hashes, p_types,
          p_bodies, p_reply_tos) WITH ORDINALITY
          AS e(conversation_id, sender_id, id, client_message_id, request_hash, type, body, reply_to, ord)
        LEFT JOIN LATERAL (
          SELECT h.seq FROM conversation_heads h WHERE h.conversation_id = e.conversation_id LIMIT 1
        ) head ON true
        LEFT JOIN LATERAL (
          SELECT m.visible_from_seq, m.blocked FROM conversation_members m
          WHERE m.conversation_id = e.conversation_id AND m.user_id = e.sender_id AND m.left_seq IS NULL LIMIT 1
        ) member ON true
        LEFT JOIN LATERAL (
          SELECT m.id, m.seq, m.created_at, m.request_hash FROM messages m
          WHERE m.conversation_id = e.conversation_id AND m.sender_id = e.sender_id
            AND m.client_message_id = e.client_message_id LIMIT 1
        ) known ON true
        LEFT JOIN LATERAL (
          SELECT m.seq, m.sender_id, left(m.body, 140) AS excerpt, m.deleted_at IS NOT NULL AS deleted
          FROM (SELECT * FROM messages WHERE messages.id = e.reply_to OFFSET 0) m
          WHERE m.conversation_id = e.conversation_id AND m.seq >= member.visible_from_seq
        ) reply ON true
      ), placed AS MATERIALIZED (
        SELECT c.*, c.head_seq + count(*) FILTER (WHERE c.outcome = 'stored')
          OVER (PARTITION BY c.conversation_id ORDER BY c.ord) AS seq
        FROM checked c
      ), stored AS (
        INSERT INTO messages (conversation_id, seq, id, sender_id, client_message_id, request_hash, type, body,
          reply_to_seq, created_at, changed_seq)
        SELECT p.conversation_id, p.seq, p.id, p.sender_id, p.client_message_id, p.request_hash, p.type, p.body,
          p.reply_seq, now, p.seq
        FROM placed p WHERE p.outcome = 'stored'
      ), moved AS (
        UPDATE conversation_heads h SET seq = f.seq, last_activity_at = now
        FROM (SELECT p.conversation_id, max(p.seq) AS seq FROM placed p WHERE p.outcome = 'stored'
          GROUP BY p.conversation_id) f
        WHERE h.conversation_id = f.conversation_id
      ), marked AS (
        UPDATE conversation_members m SET read_seq = GREATEST(m.read_seq, s.seq)
        FROM (SELECT p.conversation_id, p.sender_id, max(p.seq) AS seq FROM placed p WHERE p.outcome = 'stored'
          GROUP BY p.conversation_id, p.sender_id ORDER BY p.conversation_id, p.sender_id) s
        WHERE m.conversation_id = s.conversation_id AND m.user_id = s.sender_id
      )
      SELECT p.ord::int, p.outcome,
        CASE WHEN p.outcome = 'stored' THEN p.id ELSE p.known_id END,
        CASE WHEN p.outcome = 'stored' THEN p.seq ELSE p.known_seq END,
        CASE WHEN p.outcome = 'stored' THEN now ELSE p.known_at END,
        p.reply_seq, p.reply_sender_id, p.reply_excerpt, p.reply_deleted, NULL::uuid, NULL::bigint, NULL::int,
        NULL::uuid[], NULL::int[]
      FROM placed p ORDER BY p.ord;
    END $$`

  // My marker in a thread moves forward only. It changes what is counted as mentions of me, so my own state has changed.
  yield* sql`
    CREATE FUNCTION mark_thread(p_conversation_id uuid, p_user_id uuid, p_message_id uuid, p_seq bigint)
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
    END $$`

  // My vote becomes p_options, ascending and each once; none of them takes it back, which who is blocked may too. What is so already stays so, also
  // when the poll has closed since. Counts change by the difference, exactly, since the head is locked.
  yield* sql`
    CREATE FUNCTION vote(p_conversation_id uuid, p_user_id uuid, p_message_id uuid, p_options int[])
    RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      message record;
      poll record;
      before int[];
      counts int[];
      result changed;
    BEGIN
      SELECT * INTO message FROM lock_message(p_conversation_id, p_user_id, p_message_id);
      IF message.seq IS NULL OR message.deleted THEN
        result.outcome := 'no-message';
        RETURN result;
      END IF;
      SELECT m.seq, m.votes, m.payload INTO STRICT poll FROM messages m
        WHERE m.conversation_id = p_conversation_id AND m.seq = message.seq;
      SELECT v.options INTO before FROM poll_votes v
        WHERE v.conversation_id = p_conversation_id AND v.message_seq = poll.seq AND v.user_id = p_user_id;
      result.outcome := CASE
        WHEN message.type <> 'poll' THEN 'not-a-poll'
        WHEN COALESCE(before, '{}') = p_options THEN 'unchanged'
        WHEN message.blocked AND p_options <> '{}' THEN 'blocked'
        WHEN (poll.payload ->> 'closesAt')::timestamptz <= clock_timestamp() THEN 'poll-closed'
        WHEN cardinality(p_options) > 1 AND (poll.payload ->> 'multiple') IS DISTINCT FROM 'true' THEN 'one-option'
        WHEN p_options[cardinality(p_options)] >= cardinality(poll.votes) THEN 'no-option'
        ELSE 'changed'
      END;
      IF result.outcome <> 'changed' THEN
        RETURN result;
      END IF;
      IF p_options = '{}' THEN
        DELETE FROM poll_votes v
          WHERE v.conversation_id = p_conversation_id AND v.message_seq = poll.seq AND v.user_id = p_user_id;
      ELSE
        INSERT INTO poll_votes (conversation_id, message_seq, user_id, options)
          VALUES (p_conversation_id, poll.seq, p_user_id, p_options)
          ON CONFLICT (conversation_id, message_seq, user_id) DO UPDATE SET options = EXCLUDED.options;
      END IF;
      counts := (SELECT array_agg(v.votes - (v.place - 1 = ANY (COALESCE(before, '{}')))::int
          + (v.place - 1 = ANY (p_options))::int ORDER BY v.place)
        FROM unnest(poll.votes) WITH ORDINALITY AS v(votes, place));
      UPDATE messages m SET votes = counts WHERE m.id = p_message_id;
      result.first_seq := add_event(p_conversation_id, 'poll.voted', p_user_id, poll.seq,
        jsonb_build_object('votes', counts));
      result.last_seq := result.first_seq;
      RETURN result;
    END $$`
})
