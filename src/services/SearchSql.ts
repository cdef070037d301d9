import { Clock, Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { MessageSearch } from "../domain/Search.ts"
import { noConversation } from "./LogReader.ts"
import { type MessageRow, messageColumns, messageTables, myColumns, notHiddenFrom, toMessage } from "./MessageRows.ts"
import { checkLimit } from "./Paging.ts"
import type { Search } from "./Search.ts"
import { type Place, type Position, pageOfWindow, searchCursor, windowSize } from "./SearchPages.ts"
import { Settings } from "./Settings.ts"
import { orUnavailable } from "./Sql.ts"

/** The window, with each of the page's messages; one row without a message when there is none. */
type Row = {
  readonly places: number
  readonly matches: number
  readonly newestAt: Date | null
  readonly newestId: ConversationId
  readonly newestSeq: number
  readonly oldestAt: Date | null
  readonly oldestId: ConversationId
  readonly oldestSeq: number
} & (({ readonly rank: number; readonly visibleFromSeq: number } & MessageRow) | { readonly id: null })

/** In so many conversations the index is asked for each; a longer list costs more than it saves. */
const fewConversations = 50

const week = 7 * 24 * 3600 * 1000

/** What is looked through first, for whoever searches for what is said every day. */
const recent = 4 * week

/** More weeks than that are left to the words alone. */
const manyWeeks = 60

/** Where in time all that is wanted lies, in milliseconds since 1970. */
interface Span {
  readonly since: number
  readonly until: number
}

/** A moment in each week of the span; null where they are too many to help. */
const weeksOf = (span: Span | undefined): ReadonlyArray<string> | null => {
  const count = span === undefined ? Number.POSITIVE_INFINITY : Math.ceil((span.until - span.since) / week) + 1
  return span === undefined || count > manyWeeks
    ? null
    : Array.from({ length: count }, (_, n) => new Date(span.since + n * week).toISOString())
}

const placeOf = (at: Date | null, conversationId: ConversationId, seq: number): Place | null =>
  at === null ? null : { at: at.getTime(), conversationId, seq }

/** The statement that finds a page; nothing outside of the span is looked for. */
export const searchStatement = (
  sql: SqlClient.SqlClient,
  userId: UserId,
  { after, before, conversationId, query, senderId }: MessageSearch,
  { from, last, to }: Position,
  limit: number,
  span: Span | undefined
) => {
  const words = sql`websearch_to_tsquery('simple', ${query.normalize("NFC")}::text)`
  const weeks = weeksOf(span)
  /** `x` is `messages` or `message_words`. */
  const wanted = sql.and([
    sql`true`,
    ...(senderId === undefined ? [] : [sql`x.sender_id = ${senderId}::uuid`]),
    ...(before === undefined ? [] : [sql`x.created_at < ${before}::timestamptz`]),
    ...(after === undefined ? [] : [sql`x.created_at > ${after}::timestamptz`]),
    ...(span === undefined ? [] : [sql`x.created_at >= ${new Date(span.since)}::timestamptz`]),
    ...(to === undefined
      ? []
      : [
          sql`(x.created_at, x.conversation_id, x.seq) <=
            (${new Date(to.at)}::timestamptz, ${to.conversationId}::uuid, ${to.seq}::bigint)`
        ]),
    ...(from === undefined
      ? []
      : [
          sql`(x.created_at, x.conversation_id, x.seq) >=
            (${new Date(from.at)}::timestamptz, ${from.conversationId}::uuid, ${from.seq}::bigint)`
        ])
  ])
  return sql<Row>`
    WITH mine AS MATERIALIZED (
      SELECT m.conversation_id, m.user_id, m.visible_from_seq, m.hides, COALESCE(s.seq, 0) AS indexed, h.seq AS head
      FROM conversation_members m
      JOIN conversation_heads h ON h.conversation_id = m.conversation_id
      LEFT JOIN search_heads s ON s.conversation_id = m.conversation_id
      WHERE m.user_id = ${userId}::uuid AND m.left_seq IS NULL
        AND ${conversationId === undefined ? sql`true` : sql`m.conversation_id = ${conversationId}::uuid`}
    ), narrow AS MATERIALIZED (
      SELECT NULLIF(${words}, ''::tsquery)
        && COALESCE((SELECT CASE WHEN count(*) <= ${fewConversations} THEN string_agg(
          quote_literal(conversation_lexeme(conversation_id)), '|')::tsquery END FROM mine), ''::tsquery)
        && COALESCE((SELECT string_agg(quote_literal(week_lexeme(w.at)), '|')::tsquery
          FROM unnest(${weeks}::timestamptz[]) AS w(at)), ''::tsquery) AS query
    ), matches AS (
      SELECT x.conversation_id, x.seq, x.created_at FROM (
        SELECT x.conversation_id, x.seq, x.created_at FROM message_words x
        WHERE x.words @@ (SELECT query FROM narrow) AND ${wanted} OFFSET 0
      ) x JOIN mine ON x.conversation_id = mine.conversation_id AND x.seq >= mine.visible_from_seq
      UNION ALL
      SELECT x.conversation_id, x.seq, x.created_at FROM mine
      JOIN messages x ON x.conversation_id = mine.conversation_id AND x.seq > mine.indexed
        AND x.seq >= mine.visible_from_seq
      WHERE mine.head > mine.indexed AND searchable(x.body) @@ ${words} AND ${wanted}
      UNION ALL
      SELECT x.conversation_id, x.seq, x.created_at FROM (
        SELECT DISTINCT e.conversation_id, e.message_seq FROM mine
        JOIN conversation_events e ON e.conversation_id = mine.conversation_id AND e.seq > mine.indexed
        WHERE mine.head > mine.indexed AND e.event = 'message.edited' AND e.message_seq <= mine.indexed
          AND e.message_seq >= mine.visible_from_seq
      ) edited
      JOIN messages x ON x.conversation_id = edited.conversation_id AND x.seq = edited.message_seq
      WHERE searchable(x.body) @@ ${words} AND ${wanted} AND NOT EXISTS (
        SELECT FROM message_words w WHERE w.conversation_id = x.conversation_id AND w.seq = x.seq
          AND w.words @@ (SELECT query FROM narrow))
    ), newest AS MATERIALIZED (
      SELECT * FROM matches ORDER BY created_at DESC, conversation_id DESC, seq DESC LIMIT ${windowSize}
    ), ranked AS (
      SELECT newest.*, ts_rank(body.words, ${words})::float8 AS rank
      FROM newest JOIN mine me ON me.conversation_id = newest.conversation_id
      JOIN messages m ON m.conversation_id = newest.conversation_id AND m.seq = newest.seq
      CROSS JOIN LATERAL (SELECT searchable(m.body) AS words OFFSET 0) body
      WHERE m.deleted_at IS NULL AND ${sql.literal(notHiddenFrom("m"))} AND body.words @@ ${words}
    ), page AS (
      SELECT * FROM ranked
      WHERE ${
        last === undefined
          ? sql`true`
          : sql`(rank, created_at, conversation_id, seq) < (${last.rank}::float8, ${new Date(last.at)}::timestamptz,
            ${last.conversationId}::uuid, ${last.seq}::bigint)`
      }
      ORDER BY rank DESC, created_at DESC, conversation_id DESC, seq DESC LIMIT ${limit + 1}
    ), span AS (
      SELECT (SELECT count(*) FROM mine) AS places, (SELECT count(*) FROM newest) AS matches, high.created_at AS newest_at,
        high.conversation_id AS newest_id, high.seq AS newest_seq, low.created_at AS oldest_at,
        low.conversation_id AS oldest_id, low.seq AS oldest_seq
      FROM (SELECT) one
      LEFT JOIN (SELECT * FROM newest ORDER BY created_at DESC, conversation_id DESC, seq DESC LIMIT 1) high ON true
      LEFT JOIN (SELECT * FROM newest ORDER BY created_at, conversation_id, seq LIMIT 1) low ON true
    )
    SELECT span.*, found.* FROM span LEFT JOIN (
      SELECT page.rank, me.visible_from_seq, ${sql.literal(messageColumns)}, ${sql.literal(myColumns)}
      FROM page JOIN mine me ON me.conversation_id = page.conversation_id
      JOIN ${sql.literal(messageTables)} ON m.conversation_id = page.conversation_id AND m.seq = page.seq
    ) found ON true
    ORDER BY found.rank DESC, found.created_at DESC, found.conversation_id DESC, found.seq DESC`
}

/**
 * The planner does not know what is searched for and would rather read all words, and a plan for any query suits none:
 * for the rest of the transaction.
 */
export const searchSettings = (sql: SqlClient.SqlClient) =>
  sql`SELECT set_config('enable_seqscan', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true),
    set_config('jit', 'off', true)`

/** Search on PostgreSQL: migration 0013 has the index. */
export const makeSearchSql = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { limits } = yield* Settings

  const messages: Search["Service"]["messages"] = Effect.fn("Search.messages")(function* (userId, search, page) {
    yield* checkLimit(page, limits.pageSize)
    const position = page.cursor === undefined ? {} : yield* searchCursor.decode(page.cursor)
    const find = (span: Span | undefined) => searchStatement(sql, userId, search, position, page.limit, span)
    const { from, to } = position
    const now = yield* Clock.currentTimeMillis
    const until = Math.min(to?.at ?? now + week, search.before?.getTime() ?? now + week)
    const rows = yield* sql.withTransaction(
      Effect.gen(function* () {
        yield* searchSettings(sql)
        if (from !== undefined) return yield* find({ since: from.at, until })
        // What has many matches has enough of them among the recent ones.
        const first = yield* find({ since: until - recent, until })
        return first[0]?.matches === windowSize ? first : yield* find(undefined)
      })
    )
    const [span] = rows
    if (span === undefined) return yield* Effect.die(new Error("a search without a row"))
    if (search.conversationId !== undefined && span.places === 0) return yield* noConversation
    const { matches, newestAt, newestId, newestSeq, oldestAt, oldestId, oldestSeq } = span
    const window = {
      matches,
      newest: placeOf(newestAt, newestId, newestSeq),
      oldest: placeOf(oldestAt, oldestId, oldestSeq)
    }
    const ranked = rows.flatMap((row) => {
      if (row.id === null) return []
      const { conversationId, createdAt, rank, seq } = row
      const place = { at: createdAt.getTime(), conversationId, seq }
      return [{ place, rank, message: toMessage(row, row.visibleFromSeq) }]
    })
    return pageOfWindow(position, window, ranked, page.limit)
  }, orUnavailable)

  return { messages }
})
