import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Event } from "../../domain/Event.ts"
import type { ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import { messageIdReused, noConversation, noMessage } from "../../domain/Refusals.ts"
import { seenFrom } from "../../domain/Visibility.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { makeHistory } from "./History.ts"
import type { Log } from "./Log.ts"
import {
  type MessageRow,
  messageColumns,
  messageCreated,
  messageOf,
  messageTables,
  myColumns,
  repliedTo,
  toMessage
} from "./MessageRows.ts"

/** An entry of the log, with the message that it carries. */
type EventRow = (MessageRow | { readonly id: null }) & {
  readonly event: string
  readonly logSeq: number
  readonly actorId: UserId
  readonly at: Date
  readonly data: unknown
}

const decodeEvent = Schema.decodeUnknownSync(Event)

const eventOf = (conversationId: ConversationId, row: EventRow): Event => {
  if (row.id !== null && row.event === "message.created") return messageCreated(row)
  const { actorId, event, logSeq: seq } = row
  const data = row.id === null ? row.data : { message: messageOf(row) }
  return decodeEvent({ event, conversationId, seq, at: row.at.toISOString(), actorId, data })
}

/** The user who has joined, as a part of the data of the event `e`. */
const joinedUser = `SELECT jsonb_build_object('user', jsonb_build_object('id', u.id, 'username', u.username,
    'displayName', u.display_name, 'avatarUrl', u.avatar_url,
    'createdAt', to_char(u.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'kind', CASE u.kind WHEN 'person' THEN 'human' ELSE u.kind END))
  FROM users u WHERE u.id = (e.data ->> 'userId')::uuid`

/** The row of the statement, or `NotFound` when the membership that it joins does not exist. */
const first = <A>([row]: ReadonlyArray<A>) => (row === undefined ? Effect.fail(noConversation) : Effect.succeed(row))

/** Makes the reads that answer with events. */
const makeEventReader = (sql: SqlClient.SqlClient) => {
  const columns = sql.literal(messageColumns)
  const tables = sql.literal(messageTables)
  const joined = sql.literal(joinedUser)

  /**
   * Reads both tables of the log by index range, merged on `seq`. Bounds and the conversation are SQL expressions. The
   * log stores references; the messages and users that they name are read as they are now.
   */
  const merged = (conversationId: string, after: string, through: string, limit: number) => sql`
    SELECT * FROM (
      (SELECT 'message.created' AS event, m.seq AS log_seq, m.sender_id AS actor_id, m.created_at AS at,
          NULL::jsonb AS data, ${columns}
        FROM ${tables}
        WHERE m.conversation_id = ${sql.literal(conversationId)}
          AND m.seq > ${sql.literal(after)} AND m.seq <= ${sql.literal(through)}
        ORDER BY m.seq LIMIT ${limit})
      UNION ALL
      (SELECT e.event, e.seq, e.actor_id, e.at,
          CASE e.event WHEN 'member.joined' THEN e.data || (${joined}) ELSE e.data END, ${columns}
        FROM conversation_events e
        LEFT JOIN LATERAL (
          SELECT * FROM messages x WHERE e.event = 'message.edited' AND x.conversation_id = e.conversation_id
            AND x.seq = e.message_seq LIMIT 1
        ) m ON true ${sql.literal(repliedTo)}
        WHERE e.conversation_id = ${sql.literal(conversationId)}
          AND e.seq > ${sql.literal(after)} AND e.seq <= ${sql.literal(through)}
        ORDER BY e.seq LIMIT ${limit})
    ) log ORDER BY log_seq LIMIT ${limit}`

  const events: Log["Service"]["events"] = Effect.fn("Log.events")(function* (query) {
    const rows = yield* sql<{ visibleFromSeq: number; head: number } & (EventRow | { event: null })>`
      SELECT me.visible_from_seq, me.head, log.* FROM (
        SELECT m.conversation_id AS id, m.visible_from_seq, h.seq AS head,
          GREATEST(m.visible_from_seq - 1, ${query.after}::bigint) AS after
        FROM conversation_members m JOIN conversation_heads h ON h.conversation_id = m.conversation_id
        WHERE m.conversation_id = ${query.conversationId}::uuid AND m.user_id = ${query.userId}::uuid
          AND m.left_seq IS NULL
      ) me LEFT JOIN LATERAL (${merged("me.id", "me.after", "me.head", query.limit)}) log ON true
      ORDER BY log.log_seq`
    const { head, visibleFromSeq } = yield* first(rows)
    const items = rows.flatMap((row) =>
      row.event === null ? [] : [seenFrom(eventOf(query.conversationId, row), visibleFromSeq)]
    )
    return { items, head, visibleFromSeq }
  }, orUnavailable)

  const range: Log["Service"]["range"] = Effect.fn("Log.range")(function* (conversationId, after, through) {
    const rows = yield* sql<EventRow>`
      SELECT log.* FROM (SELECT ${conversationId}::uuid AS id, ${after}::bigint AS after, ${through}::bigint AS through) b
      CROSS JOIN LATERAL (${merged("b.id", "b.after", "b.through", through - after)}) log
      ORDER BY log.log_seq`
    return rows.map((row) => eventOf(conversationId, row))
  }, orUnavailable)

  const heads: Log["Service"]["heads"] = Effect.fn("Log.heads")(function* (conversationIds) {
    if (conversationIds.length === 0) return new Map<ConversationId, number>()
    const rows = yield* sql<{ conversationId: ConversationId; seq: number }>`
      SELECT conversation_id, seq FROM conversation_heads WHERE conversation_id = ANY (${conversationIds}::uuid[])`
    return new Map(rows.map((row) => [row.conversationId, row.seq]))
  }, orUnavailable)

  return { events, heads, range }
}

/** Makes the reads that answer with messages. */
const makeMessageReader = (sql: SqlClient.SqlClient) => {
  const columns = sql.literal(messageColumns)
  const tables = sql.literal(messageTables)
  const mine = sql.literal(myColumns)
  const known: Log["Service"]["known"] = Effect.fn("Log.known")(function* (entry) {
    const rows = yield* sql<{ id: MessageId; seq: number; createdAt: Date; same: boolean } | { id: null }>`
      SELECT m.id, m.seq, m.created_at, m.request_hash = decode(${entry.requestHash}, 'hex') AS same
      FROM conversation_members me
      LEFT JOIN messages m ON hashtextextended(m.client_message_id, uuid_hash_extended(m.conversation_id, 0))
          = hashtextextended(${entry.clientMessageId}::text, uuid_hash_extended(me.conversation_id, 0))
        AND hashtextextended(m.client_message_id, uuid_hash_extended(m.sender_id, 0))
          = hashtextextended(${entry.clientMessageId}::text, uuid_hash_extended(me.user_id, 0))
      WHERE me.conversation_id = ${entry.conversationId}::uuid AND me.user_id = ${entry.senderId}::uuid
        AND me.left_seq IS NULL`
    const row = yield* first(rows)
    if (row.id === null) return null
    if (!row.same) return yield* messageIdReused
    const { createdAt, id, seq } = row
    return { ack: { messageId: id, seq, createdAt: createdAt.toISOString(), duplicate: true }, message: null }
  }, orUnavailable)

  const message: Log["Service"]["message"] = Effect.fn("Log.message")(function* (userId, conversationId, messageId) {
    const rows = yield* sql<{ visibleFromSeq: number } & MessageRow>`
        SELECT me.visible_from_seq, ${columns}, ${mine}
        FROM conversation_members me
        JOIN ${tables} ON m.conversation_id = me.conversation_id AND m.seq >= me.visible_from_seq
        WHERE me.conversation_id = ${conversationId}::uuid AND me.user_id = ${userId}::uuid AND me.left_seq IS NULL
          AND m.id = ${messageId}::uuid`
    const [row] = rows
    if (row === undefined) return yield* noMessage
    return toMessage(row, row.visibleFromSeq)
  }, orUnavailable)

  return { known, message }
}

/** The reads of the log on PostgreSQL. Each one joins the reader's membership in its own statement. */
export const makeLogReader = Effect.map(SqlClient.SqlClient, (sql) => ({
  ...makeEventReader(sql),
  ...makeMessageReader(sql),
  messages: makeHistory(sql)
}))
