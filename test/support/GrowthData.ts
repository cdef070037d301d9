import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { ConversationId, MessageId, UserId } from "../../src/domain/Ids.ts"
import { tokenizerVersion } from "../../src/services/messages/search/Tokenizer.ts"

const kinds = { user: 1, conversation: 2, message: 3, other: 4 }

const idOf = (kind: keyof typeof kinds, number: number) =>
  `${kinds[kind].toString(16).padStart(8, "0")}-0000-7000-8000-${number.toString(16).padStart(12, "0")}`

/** The id of the n-th user. */
export const userOf = (number: number) => UserId.make(idOf("user", number))
/** The id of the n-th conversation. */
export const conversationOf = (number: number) => ConversationId.make(idOf("conversation", number))
/** The id of the n-th message. */
export const messageOf = (conversation: number, seq: number) =>
  MessageId.make(idOf("message", conversation * 1e7 + seq))

/**
 * The users and conversations of the data. `busy` has a team and is in every quiet conversation, and `me` is in those that have
 * a name here.
 */
export const growth = {
  me: userOf(1),
  writer: userOf(2),
  busy: userOf(3),
  /** A group of `me` and `writer`, who wrote all of its messages. `me` has read none. */
  long: conversationOf(1),
  /** A thread that has all messages but its root as replies. */
  thread: conversationOf(2),
  /** All messages are deleted, and `me` has read none. */
  deleted: conversationOf(3),
  /** Every message mentions `me`, half of them in a thread that `me` has read. */
  mentioning: conversationOf(4),
  /** A group with a member for every four messages of the others. */
  crowd: conversationOf(5),
  /** All messages are pinned, and `me` has starred them. */
  kept: conversationOf(6),
  /** A thread with all messages as replies but every hundredth, which are outside of threads and not deleted. */
  sparse: conversationOf(7),
  firstQuiet: 100
}

/** Turns autovacuum off, so that it does not change the plans in the middle of a test. */
export const withoutAutovacuum = SqlClient.SqlClient.use((sql) =>
  sql.unsafe(`DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
      EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = off)', name);
    END LOOP; END $$`)
)

/** The group `long` with the `writer` and no message, in an empty database. */
export const oneGroup = SqlClient.SqlClient.use((sql) =>
  sql.unsafe(`WITH someone AS (
      INSERT INTO users (id, email, email_key, username, display_name, search_name, password_hash)
        VALUES ('${growth.writer}', 'u', 'u', 'anna', 'Anna', 'anna', '')
    ), made AS (
      INSERT INTO conversations (id, kind, title, created_by)
        VALUES ('${growth.long}', 'group', 'Group', '${growth.writer}')
    ), head AS (
      INSERT INTO conversation_heads (conversation_id, seq, last_activity_at) VALUES ('${growth.long}', 1, now())
    ) INSERT INTO conversation_members (conversation_id, user_id, role, joined_seq, visible_from_seq, read_seq,
        delivered_seq) VALUES ('${growth.long}', '${growth.writer}', 'owner', 2, 1, 0, 0)`)
)

/** Adds messages of the `writer` to `long`, and as many members. */
export const longLog = (count: number) =>
  SqlClient.SqlClient.use((sql) =>
    sql.unsafe(`WITH moved AS (
        UPDATE conversation_heads SET seq = ${count} + 1 WHERE conversation_id = '${growth.long}'
      ), people AS (
        INSERT INTO users (id, email, email_key, username, display_name, search_name, password_hash)
          SELECT gen_random_uuid(), 'u' || n, 'u' || n, 'anna' || n, 'Anna', 'anna', '' FROM generate_series(1, ${count}) n
          RETURNING id
      ), joined AS (
        INSERT INTO conversation_members (conversation_id, user_id, role, joined_seq, visible_from_seq, read_seq,
            delivered_seq) SELECT '${growth.long}', id, 'member', 1, 1, 0, 0 FROM people
      ) INSERT INTO messages (conversation_id, seq, id, sender_id, client_message_id, request_hash, type, body,
          created_at, changed_seq)
        SELECT '${growth.long}', s, gen_random_uuid(), '${growth.writer}', 'm' || s, '\\x00', 'text', 'message', now(), s
        FROM generate_series(2, ${count} + 1) s`)
  )

/** The most members that a group has here: one can still be added. */
const fullGroup = 4990

/** The number of conversations in the data of any size, in addition to those that grow. */
export const others = 2000

/**
 * Fills a database with data whose parts all grow with `size`; the group `long` has as many messages as `length` says, and
 * a thousand reactions to the first of them. There are no statistics afterwards.
 */
export const fillForGrowth = Effect.fnUntraced(function* (size: number, length = size) {
  const sql = yield* SqlClient.SqlClient
  const run = (text: string) => sql.unsafe(text)
  yield* run(`CREATE FUNCTION growth_id(kind int, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(kind), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid $$`)
  yield* withoutAutovacuum

  const conversation = (numbers: string, head: string) =>
    run(`WITH made AS (
      INSERT INTO conversations (id, kind, title, created_by)
      SELECT growth_id(2, n), 'group', 'Group', growth_id(1, 2) FROM ${numbers} n
    ) INSERT INTO conversation_heads (conversation_id, seq, last_activity_at)
      SELECT growth_id(2, n), ${head}, now() - interval '1 year' + n * interval '1 minute' FROM ${numbers} n`)
  const members = (conversations: string, users: string) =>
    run(`
    INSERT INTO conversation_members (conversation_id, user_id, role, joined_seq, visible_from_seq, read_seq,
      delivered_seq)
    SELECT growth_id(2, c), growth_id(1, u), CASE u WHEN 2 THEN 'owner' ELSE 'member' END, 1, 1, 0, 0
    FROM ${conversations} c CROSS JOIN ${users} u`)
  /** Messages of the writer from the seq 2 on. */
  const messages = (conversations: string, count: string, columns: Record<string, string> = {}) =>
    run(`
    INSERT INTO messages (conversation_id, seq, id, sender_id, client_message_id, request_hash, type, body, created_at,
      changed_seq${Object.keys(columns)
        .map((name) => `, ${name}`)
        .join("")})
    SELECT growth_id(2, c), s, growth_id(3, c * 10000000::bigint + s), growth_id(1, 2), 'm' || s, '\\x00', 'text',
      'message ' || s, now() - interval '1 year' + s * interval '1 second', s
      ${Object.values(columns)
        .map((value) => `, ${value}`)
        .join("")}
    FROM ${conversations} c CROSS JOIN generate_series(2, ${count} + 1) s`)
  const one = (number: number) => `generate_series(${number}, ${number})`

  yield* run(`INSERT INTO users (id, email, email_key, username, display_name, search_name, password_hash)
    SELECT growth_id(1, n), 'u' || n, 'u' || n, 'anna' || n, 'Anna ' || n, 'anna ' || n, ''
    FROM generate_series(1, ${size} + 2000) n`)
  yield* run(`INSERT INTO users (id, email, email_key, username, display_name, search_name, password_hash, kind)
    SELECT growth_id(8, n), '', 'guest-' || n, 'guest-' || n, 'Guest ' || n, 'guest ' || n, '', 'guest'
    FROM generate_series(1, ${size}) n`)
  yield* run(`UPDATE users SET team = id::text WHERE id IN (growth_id(1, 3), growth_id(1, ${size} + 8))`)
  yield* conversation(one(1), `${length} + 1`)
  yield* conversation("generate_series(2, 3)", `${size} + 1`)
  yield* conversation(one(4), `2 * ${size} + 1`)
  yield* conversation(one(5), "1")
  // Two consumers of the change feed have come half of the way.
  yield* run(`INSERT INTO change_feed (position, conversation_id, first_seq, last_seq)
    SELECT '1', growth_id(2, n), 1, 1 FROM generate_series(1, ${size}) n`)
  yield* run(`INSERT INTO change_feed_consumers (name, position, conversation_id)
    SELECT name, '1', growth_id(2, ${size} / 2) FROM unnest('{search,growth}'::text[]) name`)
  yield* members("generate_series(1, 4)", "generate_series(1, 2)")
  yield* conversation(one(6), `${size} + 1`)
  yield* conversation(one(7), `${size} + 1`)
  yield* members("generate_series(6, 7)", "generate_series(1, 2)")
  yield* messages(one(6), `${size}`, { pinned_at: "now()", pinned_by: "growth_id(1, 2)" })
  yield* run(`INSERT INTO stars (user_id, conversation_id, message_seq, message_id, starred, user_seq)
    SELECT growth_id(1, 1), growth_id(2, 6), s, growth_id(3, 60000000 + s), true, s
    FROM generate_series(2, ${size} + 1) s`)
  yield* members(one(5), `generate_series(1, ${Math.min(size / 4, fullGroup)})`)
  yield* messages(one(1), `${length}`)
  yield* run(`INSERT INTO message_reactions (conversation_id, message_seq, user_id, emoji)
    SELECT growth_id(2, 1), 2, growth_id(1, u), '👍' FROM generate_series(1, 1000) u`)
  yield* run(`UPDATE messages SET reactions = '[{"emoji": "👍", "count": 1000}]'
    WHERE conversation_id = growth_id(2, 1) AND seq = 2`)
  yield* messages(one(2), `${size}`, {
    thread_root_seq: "CASE WHEN s > 2 THEN 2 END",
    thread_root_id: "CASE WHEN s > 2 THEN growth_id(3, 20000002) END",
    thread_place: "CASE WHEN s > 2 THEN s - 2 END",
    thread_reply_count: `CASE WHEN s = 2 THEN ${size} - 1 ELSE 0 END`
  })
  yield* run(`INSERT INTO thread_members (conversation_id, root_seq, user_id, read_seq, last_reply_seq)
    SELECT growth_id(2, 2), 2, growth_id(1, u), u + 2, u + 2 FROM generate_series(1, ${size} / 10) u`)
  yield* messages(one(3), `${size}`, { deleted_at: "now()" })
  yield* messages(one(7), `${size}`, {
    thread_root_seq: "CASE WHEN s % 100 <> 2 THEN 2 END",
    thread_root_id: "CASE WHEN s % 100 <> 2 THEN growth_id(3, 70000002) END",
    thread_place: "CASE WHEN s % 100 <> 2 THEN s - 2 - s / 100 END",
    thread_reply_count: `CASE WHEN s = 2 THEN ${size} - ${size} / 100 ELSE 0 END`
  })
  yield* messages(one(4), `2 * ${size}`, {
    thread_root_seq: `CASE WHEN s > 2 AND s <= ${size} THEN 2 END`,
    thread_place: `CASE WHEN s > 2 AND s <= ${size} THEN s - 2 END`,
    thread_reply_count: `CASE WHEN s = 2 THEN ${size} - 2 ELSE 0 END`,
    mentions: "ARRAY[growth_id(1, 1)]"
  })
  yield* run(`INSERT INTO mentions (conversation_id, user_id, thread_root_seq, seq)
    SELECT growth_id(2, 4), growth_id(1, 1), CASE WHEN s > 2 AND s <= ${size} THEN 2 ELSE 0 END, s
    FROM generate_series(2, 2 * ${size} + 1) s`)
  yield* run(`INSERT INTO thread_members (conversation_id, root_seq, user_id, read_seq)
    VALUES (growth_id(2, 4), 2, growth_id(1, 1), ${size})`)

  // Tables of a page or two are read whole whatever they hold, so the small size has other conversations too.
  const strange = `generate_series(1000000, 999999 + ${others})`
  yield* conversation(strange, "1")
  yield* members(strange, "generate_series(5, 6)")
  yield* run(`INSERT INTO thread_members (conversation_id, root_seq, user_id, read_seq)
    SELECT growth_id(2, n), 1, growth_id(1, 5), 1 FROM ${strange} n`)
  yield* run(`INSERT INTO direct_conversations (user_low, user_high, conversation_id)
    SELECT growth_id(1, n), growth_id(1, n), growth_id(2, 999999 + n) FROM generate_series(1, ${others}) n`)

  yield* run(`INSERT INTO audit_log (actor, act, target_kind, target_id, detail)
    SELECT 'cli:ann', 'act', 'user', n, '{}' FROM generate_series(1, ${size}) n`)

  // Rows of the future, of the past, and of other users.
  yield* run(`INSERT INTO scheduled_messages (id, user_id, conversation_id, content, send_at)
    SELECT growth_id(4, n), growth_id(1, 1), growth_id(2, 1), '{"body":"later"}', now() + interval '1 hour' + n * interval '1 minute'
    FROM generate_series(1, ${size}) n`)
  yield* run(`INSERT INTO message_lifetimes (conversation_id, from_seq, through_seq, seconds, done_seq, next_at)
    SELECT growth_id(2, 1), n, n, 60, n, now() + interval '1 hour' FROM generate_series(1, ${size}) n`)
  yield* run(`INSERT INTO idempotency_keys (user_id, key, request_hash, result_id)
    SELECT growth_id(1, n), 'key', '', growth_id(4, n) FROM generate_series(1, ${size}) n`)
  yield* run(`INSERT INTO sessions (id, user_id, user_agent, ip, expires_at)
    SELECT growth_id(4, n), growth_id(1, n), '', '', now() + interval '1 month' FROM generate_series(1, ${size}) n`)
  yield* run(`INSERT INTO event_cursors (id, user_id, conversation_ids, seqs, user_seq)
    SELECT growth_id(4, n), growth_id(1, n), '{}', '{}', 1 FROM generate_series(1, ${size}) n`)
  yield* run(`INSERT INTO external_identities (issuer, subject, user_id, profile_at)
    SELECT 'https://app.example.com', n, growth_id(1, n), now() FROM generate_series(1, ${size}) n`)
  yield* run(`INSERT INTO blocks (user_id, blocked_id, created_at)
    SELECT growth_id(1, b % 2 + 1), growth_id(1, b), now() - b * interval '1 second'
    FROM generate_series(10, ${size}) b`)
  yield* run(`INSERT INTO invites (code, conversation_id, created_by, revoked_at)
    SELECT 'code' || n, growth_id(2, 5), growth_id(1, 2), CASE WHEN n % ${size / 100} <> 0 THEN now() END
    FROM generate_series(1, ${size}) n`)

  const quiet = `generate_series(100, 99 + ${size} / 10)`
  yield* conversation(quiet, "4")
  yield* members(quiet, "generate_series(2, 3)")
  yield* messages(quiet, "3")
  yield* run(`INSERT INTO drafts (user_id, conversation_id, body, updated_at, user_seq)
    SELECT growth_id(1, 3), growth_id(2, n), 'draft', now(), n FROM ${quiet} n`)
  // All but the last three messages of each log are indexed for search.
  yield* run(`INSERT INTO search_heads (conversation_id, seq, tokenizer, renewed_seq)
    SELECT conversation_id, x.seq, ${tokenizerVersion}, x.seq FROM conversation_heads h
    CROSS JOIN LATERAL (SELECT GREATEST(h.seq - 3, 0) AS seq) x`)
})

/** The states of the planner's statistics, in each of which a statement must do the same work. */
export const statistics = {
  "without statistics": Effect.void,
  /** Most conversations are short, so the planner believes that all are. */
  "with statistics": Effect.flatMap(SqlClient.SqlClient, (sql) => sql`ANALYZE`)
}
