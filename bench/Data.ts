import { Effect, Layer, Redacted } from "effect"
import { ConversationId, SessionId, UserId } from "../src/domain/Ids.ts"
import { AccessTokens } from "../src/services/identity/AccessTokens.ts"
import { tokenizerVersion } from "../src/services/messages/search/Tokenizer.ts"
import * as SettingsMemory from "../src/testing/memory/Settings.ts"
import type { Member } from "./Dialects.ts"
import { query } from "./Postgres.ts"
import { signingKey } from "./Service.ts"

/** Data that would take long to make over HTTP: it is written into the tables of a service, and belongs to these ids. */
const kinds = { user: 1, session: 2, conversation: 3 }

const idOf = (kind: keyof typeof kinds, n: number) =>
  `${kinds[kind].toString(16).padStart(8, "0")}-0000-7000-8000-${n.toString(16).padStart(12, "0")}`

/** The same id in SQL. */
const sqlId = (kind: keyof typeof kinds, n: string) =>
  `('${kinds[kind].toString(16).padStart(8, "0")}-0000-7000-8000-' || lpad(to_hex(${n}), 12, '0'))::uuid`

/** Makes users, who are signed in, and groups of each two of them in a row: 1 and 2, 3 and 4. */
export const makePairs = Effect.fnUntraced(function* (database: string, pairs: number) {
  yield* query(
    `INSERT INTO users (id, email, email_key, username, display_name, search_name, password_hash)
      SELECT ${sqlId("user", "n")}, 'u' || n, 'u' || n, 'u' || n, 'U' || n, 'u' || n, '' FROM generate_series(1, ${2 * pairs}) n`,
    database
  )
  yield* query(
    `INSERT INTO sessions (id, user_id, user_agent, ip, expires_at)
      SELECT ${sqlId("session", "n")}, ${sqlId("user", "n")}, '', '127.0.0.1', now() + interval '1 day'
      FROM generate_series(1, ${2 * pairs}) n`,
    database
  )
  yield* makeGroups(database, { from: 1, to: pairs, members: "VALUES (2 * c - 1), (2 * c)" })
  const members: ReadonlyArray<Member> = yield* AccessTokens.use((tokens) =>
    Effect.forEach(
      Array.from({ length: 2 * pairs }, (_, index) => index + 1),
      (n) =>
        Effect.map(
          tokens.issue({
            userId: UserId.make(idOf("user", n)),
            sessionId: SessionId.make(idOf("session", n)),
            generation: 1
          }),
          (token) => ({ user: idOf("user", n), conversation: conversationOf(Math.ceil(n / 2)), token })
        )
    )
  ).pipe(
    Effect.provide(
      AccessTokens.layer.pipe(Layer.provide(SettingsMemory.layerMemory({ jwt: { secret: Redacted.make(signingKey) } })))
    )
  )
  return members
})

/** The id of a conversation that was made here. */
export const conversationOf = (n: number) => ConversationId.make(idOf("conversation", n))

/** Makes groups without messages, numbered `from` … `to`; `members` are the numbers of users, in SQL, of the group `c`. */
export const makeGroups = Effect.fnUntraced(function* (
  database: string,
  { from, members, to }: { readonly from: number; readonly to: number; readonly members: string }
) {
  const groups = `generate_series(${from}, ${to}) c`
  yield* query(
    `INSERT INTO conversations (id, kind, title, created_by)
      SELECT ${sqlId("conversation", "c")}, 'group', 'Group ' || c, ${sqlId("user", "1")} FROM ${groups}`,
    database
  )
  yield* query(
    `INSERT INTO conversation_heads (conversation_id, seq, last_activity_at)
      SELECT ${sqlId("conversation", "c")}, 1, now() - interval '1 day' FROM ${groups}`,
    database
  )
  yield* query(
    `INSERT INTO conversation_members (conversation_id, user_id, role, joined_seq, visible_from_seq, read_seq, delivered_seq)
      SELECT ${sqlId("conversation", "c")}, ${sqlId("user", "m.n")}, 'member', 1, 1, 1, 1
      FROM ${groups} CROSS JOIN LATERAL (${members}) m(n)`,
    database
  )
})

/** Writes messages of 200 bytes into the groups `from` … `to`, `each` into every one, which the search has already seen. */
export const makeMessages = Effect.fnUntraced(function* (
  database: string,
  { each, from, to }: { readonly from: number; readonly to: number; readonly each: number }
) {
  const groups = `generate_series(${from}, ${to}) c`
  yield* query(
    `INSERT INTO messages (conversation_id, seq, id, sender_id, client_message_id, request_hash, type, body, created_at, changed_seq)
      SELECT ${sqlId("conversation", "c")}, s, gen_random_uuid(), ${sqlId("user", "1")}, 'm' || s, '\\x00', 'text',
        repeat('b', 200), now() - interval '1 day', s
      FROM generate_series(2, ${each} + 1) s CROSS JOIN ${groups}`,
    database
  )
  yield* query(
    `UPDATE conversation_heads SET seq = ${each} + 1
      WHERE conversation_id IN (SELECT ${sqlId("conversation", "c")} FROM ${groups})`,
    database
  )
  yield* query(
    `INSERT INTO search_heads (conversation_id, seq, tokenizer)
      SELECT ${sqlId("conversation", "c")}, ${each} + 1, ${tokenizerVersion} FROM ${groups}
      ON CONFLICT (conversation_id) DO UPDATE SET seq = EXCLUDED.seq`,
    database
  )
  yield* query("VACUUM ANALYZE", database)
})
