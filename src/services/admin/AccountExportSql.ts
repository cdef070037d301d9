import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type {
  ExportedConversation,
  ExportedMarks,
  ExportedMessage,
  ExportedSession
} from "../../domain/AccountExport.ts"
import type { UserRow } from "../identity/Rows.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { AccountExport, AccountExportStorage } from "./AccountExport.ts"

/** A row with times as PostgreSQL has them. */
type Dated<A, Keys extends keyof A> = Omit<A, Keys> & { readonly [K in Keys]: Date | Extract<A[K], null> }

type SessionRow = Dated<ExportedSession, "createdAt" | "lastUsedAt" | "expiresAt" | "endedAt">

const toSession = (row: SessionRow): ExportedSession => ({
  ...row,
  createdAt: row.createdAt.toISOString(),
  lastUsedAt: row.lastUsedAt.toISOString(),
  expiresAt: row.expiresAt.toISOString(),
  endedAt: row.endedAt?.toISOString() ?? null
})

const makeStorage = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  return AccountExportStorage.of({
    begin: (userId, actor) =>
      sql<UserRow>`WITH account AS (SELECT * FROM users WHERE id = ${userId} AND deleted_at IS NULL),
        noted AS (SELECT add_audit(${actor}, 'admin.exportAccount', 'user', id::text, '{}') FROM account)
        SELECT account.* FROM account CROSS JOIN noted`.pipe(
        Effect.map((rows) => rows[0]),
        orUnavailable
      ),
    conversations: (userId, after, limit) =>
      sql<Dated<ExportedConversation, "joinedAt" | "mutedUntil"> & { readonly head: number }>`
        SELECT m.conversation_id AS id, c.kind, c.title, m.joined_at, m.left_seq IS NOT NULL AS left, m.role, m.read_seq,
          m.muted_until, m.archived, m.pinned, m.notify, h.seq AS head
        FROM conversation_members m
        CROSS JOIN LATERAL (SELECT * FROM conversations x WHERE x.id = m.conversation_id LIMIT 1) c
        CROSS JOIN LATERAL (SELECT * FROM conversation_heads x WHERE x.conversation_id = m.conversation_id LIMIT 1) h
        WHERE c.deleted_at IS NULL AND m.user_id = ${userId} AND m.conversation_id > ${after}
        ORDER BY m.conversation_id LIMIT ${limit}`.pipe(
        Effect.map((rows) =>
          rows.map((row) => ({
            ...row,
            joinedAt: row.joinedAt.toISOString(),
            mutedUntil: row.mutedUntil?.toISOString() ?? null
          }))
        ),
        orUnavailable
      ),
    messages: (userId, conversationId, from, through) =>
      sql<Dated<ExportedMessage, "createdAt" | "editedAt">>`
        SELECT id, conversation_id, seq, type, body, payload, COALESCE(attachments, '[]') AS attachments, created_at, edited_at,
          COALESCE((
            SELECT json_agg(json_build_object('body', r.body, 'createdAt',
              to_char(r.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) ORDER BY r.revision)
            FROM message_revisions r WHERE r.conversation_id = m.conversation_id AND r.message_seq = m.seq
          ), '[]') AS revisions
        FROM messages m
        WHERE conversation_id = ${conversationId} AND seq > ${from}::bigint AND seq <= ${through}::bigint
          AND sender_id = ${userId} AND deleted_at IS NULL
        ORDER BY seq`.pipe(
        Effect.map((rows) =>
          rows.map((row) => ({
            ...row,
            createdAt: row.createdAt.toISOString(),
            editedAt: row.editedAt?.toISOString() ?? null
          }))
        ),
        orUnavailable
      ),
    marks: (userId, conversationId, from, through) => {
      const mine = sql`user_id = ${userId}::uuid AND conversation_id = ${conversationId}::uuid
        AND message_seq > ${from}::bigint AND message_seq <= ${through}::bigint`
      return sql<ExportedMarks>`
        SELECT ${conversationId}::uuid AS conversation_id, seq, bool_or(starred) AS starred, bool_or(hidden) AS hidden,
          COALESCE(array_agg(emoji ORDER BY emoji) FILTER (WHERE emoji IS NOT NULL), '{}') AS reactions,
          max(options) AS votes
        FROM (
          SELECT message_seq AS seq, true AS starred, false AS hidden, NULL::text AS emoji, NULL::int[] AS options
            FROM stars WHERE starred AND ${mine}
          UNION ALL SELECT message_seq, false, true, NULL, NULL FROM hidden_messages WHERE ${mine}
          UNION ALL SELECT message_seq, false, false, emoji, NULL FROM message_reactions WHERE ${mine}
          UNION ALL SELECT message_seq, false, false, NULL, options FROM poll_votes WHERE ${mine}
        ) marks GROUP BY seq ORDER BY seq`.pipe(orUnavailable)
    },
    sessions: (userId, after, limit) =>
      sql<SessionRow>`
        SELECT id, user_agent, ip, created_at, last_used_at, expires_at, ended_at FROM sessions
        WHERE user_id = ${userId}::uuid AND id > ${after}::uuid ORDER BY id LIMIT ${limit}`.pipe(
        Effect.map((rows) => rows.map(toSession)),
        orUnavailable
      )
  })
})

/** Exports from PostgreSQL. */
export const layer = AccountExport.layerNoDeps.pipe(Layer.provide(Layer.effect(AccountExportStorage, makeStorage)))
