import type { SqlClient } from "effect/sql"
import type { ConversationId, MessageId, UserId } from "../../../domain/Ids.ts"
import type { MessageSearch } from "../../../domain/Search.ts"
import { type MessageRow, messageColumns, messageTables, myColumns, notHiddenFrom } from "../../log/MessageRows.ts"
import { int8s } from "../../platform/Sql.ts"
import { conversationLexeme, senderLexeme, weekLexeme, weekOf } from "./SearchLexemes.ts"
import type { MatchKey, PageStart } from "./SearchPages.ts"
import { rankedTerms, type SearchQuery, toTsquery } from "./SearchQuery.ts"

/** For at most this many conversations the index is asked for each of them; a longer list costs more than it saves. */
export const fewConversations = 200

/** A time span in milliseconds since 1970: `since` is included, `before` is not. */
interface Span {
  readonly since: number
  readonly before: number
}

/** The messages that a statement reads: those of a time span, those outside of it, or all. */
export type Reach = { readonly within: Span } | { readonly outside: Span } | "all"

/** The parameters that all statements of one search share. */
export interface Scope {
  readonly userId: UserId
  readonly search: MessageSearch
  readonly query: SearchQuery
  readonly to: PageStart["to"]
  readonly from: PageStart["from"]
}

/** A message that is not indexed as it stands now; one row without a message when there is none. */
export type PendingRow = {
  /** How many conversations the search covers. */
  readonly conversations: number
  /** The time of the database, which is also the clock of messages. */
  readonly now: Date
  /** Their ids, or null if there are more than `fewConversations`. */
  readonly ids: ReadonlyArray<ConversationId> | null
} & (
  | { readonly id: null }
  | {
      readonly id: MessageId
      readonly conversationId: ConversationId
      readonly seq: number
      readonly createdAt: Date
      readonly body: string
    }
)

/** A match of the index. `shown` is false for messages that are deleted or hidden. */
export interface MatchRow {
  readonly conversationId: ConversationId
  readonly seq: number
  readonly createdAt: Date
  readonly shown: boolean
  /** The words of the query that the message has, with their positions. */
  readonly found: ReadonlyArray<readonly [word: string, positions: ReadonlyArray<number>]> | null
}

interface FoundRow extends MessageRow {
  readonly visibleFromSeq: number
}

const keyIs = (sql: SqlClient.SqlClient, comparison: "<=" | ">=", { at, conversationId, seq }: MatchKey) =>
  sql`(x.created_at, x.conversation_id, x.seq) ${sql.literal(comparison)}
    (${new Date(at)}::timestamptz, ${conversationId}::uuid, ${seq}::bigint)`

const isReached = (sql: SqlClient.SqlClient, reach: Exclude<Reach, "all">) => {
  const { before, since } = "within" in reach ? reach.within : reach.outside
  const within = sql`(x.created_at >= ${new Date(since)}::timestamptz AND x.created_at < ${new Date(before)}::timestamptz)`
  return "within" in reach ? within : sql`NOT ${within}`
}

/** The filters of a search. `x` stands for `messages` or `message_words`. */
const wanted = (sql: SqlClient.SqlClient, { from, search, to }: Scope, reach: Reach = "all") =>
  sql.and([
    sql`true`,
    ...(search.senderId === undefined ? [] : [sql`x.sender_id = ${search.senderId}::uuid`]),
    ...(search.before === undefined ? [] : [sql`x.created_at < ${search.before}::timestamptz`]),
    ...(search.after === undefined ? [] : [sql`x.created_at > ${search.after}::timestamptz`]),
    ...(reach === "all" ? [] : [isReached(sql, reach)]),
    ...(to === undefined ? [] : [keyIs(sql, "<=", to)]),
    ...(from === undefined ? [] : [keyIs(sql, ">=", from)])
  ])

const membership = (sql: SqlClient.SqlClient, { search, userId }: Scope) => sql`m.user_id = ${userId}::uuid
  AND m.left_seq IS NULL
  AND ${search.conversationId === undefined ? sql`true` : sql`m.conversation_id = ${search.conversationId}::uuid`}`

/** Reads the newest messages, at most `limit`, that the index does not know as they stand now. */
export const pendingStatement = (sql: SqlClient.SqlClient, scope: Scope, limit: number) => sql<PendingRow>`
  WITH me AS MATERIALIZED (
    SELECT m.conversation_id, m.user_id, m.visible_from_seq, m.hides, COALESCE(s.seq, 0) AS indexed, h.seq AS head
    FROM conversation_members m
    JOIN conversation_heads h ON h.conversation_id = m.conversation_id
    LEFT JOIN search_heads s ON s.conversation_id = m.conversation_id
    WHERE ${membership(sql, scope)}
  ), pending AS (
    SELECT x.conversation_id, x.seq FROM me
    JOIN messages x ON x.conversation_id = me.conversation_id AND x.seq > me.indexed
    WHERE me.head > me.indexed
    UNION
    SELECT e.conversation_id, e.message_seq FROM me
    JOIN conversation_events e ON e.conversation_id = me.conversation_id AND e.seq > me.indexed
    WHERE me.head > me.indexed AND e.event = 'message.edited'
  ), newest AS (
    SELECT x.id, x.conversation_id, x.seq, x.created_at, x.body FROM pending
    JOIN me ON me.conversation_id = pending.conversation_id
    JOIN messages x ON x.conversation_id = pending.conversation_id AND x.seq = pending.seq
    WHERE x.seq >= me.visible_from_seq AND x.deleted_at IS NULL AND ${sql.literal(notHiddenFrom("x"))}
      AND ${wanted(sql, scope)}
    ORDER BY x.created_at DESC, x.conversation_id DESC, x.seq DESC LIMIT ${limit}
  )
  SELECT count.n AS conversations, clock_timestamp() AS now,
    CASE WHEN count.n <= ${fewConversations} THEN ARRAY(SELECT conversation_id FROM me) END AS ids, newest.*
  FROM (SELECT count(*) AS n FROM me) count LEFT JOIN newest ON true
  ORDER BY newest.created_at DESC, newest.conversation_id DESC, newest.seq DESC`

const anyOf = (lexemes: ReadonlyArray<string>) => (lexemes.length === 0 ? [] : [`(${lexemes.join(" | ")})`])

/** The query, narrowed to the conversations, the weeks and the sender that are known. */
const narrowed = ({ query, search }: Scope, ids: ReadonlyArray<ConversationId> | null, reach: Reach) => {
  const weeks = []
  if (reach !== "all" && "within" in reach) {
    const { before, since } = reach.within
    for (let week = weekOf(since); week <= weekOf(before); week++) weeks.push(weekLexeme(week))
  }
  return [
    `(${toTsquery(query)})`,
    ...anyOf((ids ?? []).map(conversationLexeme)),
    ...anyOf(weeks),
    ...anyOf(search.senderId === undefined ? [] : [senderLexeme(search.senderId)])
  ].join(" & ")
}

/** Reads the newest matches of the index that are in reach, at most `limit`. `ids` are the conversations if they are few. */
export const matchStatement = (
  sql: SqlClient.SqlClient,
  scope: Scope,
  ids: ReadonlyArray<ConversationId> | null,
  reach: Reach,
  limit: number
) => {
  const terms = rankedTerms(scope.query)
  const words = (prefix: boolean) => terms.filter((term) => term.prefix === prefix).map(({ lexeme }) => lexeme)
  return sql<MatchRow>`
    WITH me AS MATERIALIZED (
      SELECT m.conversation_id, m.user_id, m.visible_from_seq, m.hides FROM conversation_members m
      WHERE ${membership(sql, scope)}
    ), newest AS MATERIALIZED (
      SELECT x.conversation_id, x.seq, x.created_at FROM (
        SELECT x.conversation_id, x.seq, x.created_at FROM message_words x
        WHERE x.words @@ ${narrowed(scope, ids, reach)}::tsquery AND ${wanted(sql, scope, reach)} OFFSET 0
      ) x JOIN me ON x.conversation_id = me.conversation_id AND x.seq >= me.visible_from_seq
      ORDER BY x.created_at DESC, x.conversation_id DESC, x.seq DESC LIMIT ${limit}
    )
    SELECT newest.*, m.deleted_at IS NULL AND ${sql.literal(notHiddenFrom("newest"))} AS shown, (
      SELECT json_agg(json_build_array(t.lexeme, t.positions)) FROM unnest(w.words) t
      WHERE t.lexeme = ANY(${words(false)}::text[]) OR t.lexeme ^@ ANY(${words(true)}::text[])
    ) AS found
    FROM newest JOIN me ON me.conversation_id = newest.conversation_id
    JOIN message_words w ON w.conversation_id = newest.conversation_id AND w.seq = newest.seq
    JOIN messages m ON m.conversation_id = newest.conversation_id AND m.seq = newest.seq
    ORDER BY newest.created_at DESC, newest.conversation_id DESC, newest.seq DESC`
}

/** Reads the messages of a page as the user sees them, in the order of the keys. */
export const pageStatement = (sql: SqlClient.SqlClient, userId: UserId, keys: ReadonlyArray<MatchKey>) => sql<FoundRow>`
  SELECT me.visible_from_seq, ${sql.literal(messageColumns)}, ${sql.literal(myColumns)}
  FROM unnest(${keys.map(({ conversationId }) => conversationId)}::uuid[], ${int8s(keys.map(({ seq }) => seq))}::bigint[])
    WITH ORDINALITY AS k(conversation_id, seq, n)
  JOIN conversation_members me ON me.conversation_id = k.conversation_id AND me.user_id = ${userId}::uuid
  JOIN ${sql.literal(messageTables)} ON m.conversation_id = k.conversation_id AND m.seq = k.seq
  ORDER BY k.n`

/** Makes the statements of the transaction see one state of the database. It must be the first one. */
export const oneSnapshot = (sql: SqlClient.SqlClient) => sql`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY`

/**
 * Makes the planner use the index for the rest of the transaction. It does not know how rare the searched words are and
 * would otherwise choose to read all rows, or a generic plan that suits no query.
 */
export const searchSettings = (sql: SqlClient.SqlClient) =>
  sql`SELECT set_config('enable_seqscan', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true),
    set_config('jit', 'off', true)`
