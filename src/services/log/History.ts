import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import { noConversation } from "../../domain/Refusals.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { pageBounds } from "./Entry.ts"
import type { Log } from "./Log.ts"
import { type MessageRow, messageColumns, myColumns, notHiddenFrom, repliedTo, toMessage } from "./MessageRows.ts"
import { windows } from "./Windows.ts"

type Query = Parameters<Log["Service"]["messages"]>[0]

/**
 * How a history is numbered without gaps in the order of seq: a conversation by seq itself, a thread by the places of its
 * replies. `belongs` is true for the messages of the history. For the membership `c` and its head `h`, `first` is the
 * number of the first message that the member may see, `past` the one after the last, and `start` that of the seq `from`.
 */
const numberingOf = (sql: SqlClient.SqlClient, { replies }: Query, from: number) => {
  if (replies === undefined || replies === "all") {
    return {
      number: "m.seq",
      belongs: sql.literal(replies === "all" ? "true" : "m.thread_root_seq IS NULL"),
      first: sql.literal("c.visible_from_seq"),
      past: sql.literal("h.seq + 1"),
      start: sql`${from}::bigint`,
      stops: replies === "all" ? undefined : "timeline"
    } as const
  }
  const place = (seq: ReturnType<typeof sql.literal>) =>
    sql`thread_place_of(c.conversation_id, ${replies.to}::bigint, ${seq})::bigint`
  return {
    number: "m.thread_place",
    belongs: sql`m.thread_root_seq = ${replies.to}::bigint`,
    first: place(sql.literal("c.visible_from_seq")),
    past: place(sql.literal("h.seq + 1")),
    start: place(sql`${from}::bigint`),
    stops: undefined
  }
}

/** One more message than the page has is read on each side: it tells whether there are more. */
const sizesFor = (count: number) => ({ wanted: count + 1, width: 2 * (count + 1) })

/**
 * Makes the read of a page of the history, in windows from the start of the page up and down. What is left to grow is a run
 * of messages that the reader has hidden.
 */
export const makeHistory = (sql: SqlClient.SqlClient): Log["Service"]["messages"] =>
  Effect.fn("Log.messages")(function* (query) {
    const { from, newer, older } = pageBounds(query.place, query.limit)
    const numbering = numberingOf(sql, query, from)
    const { first, past, start } = numbering
    const belongs = sql`m.conversation_id = me.conversation_id AND ${numbering.belongs}`
    const scan = { ...numbering, belongs, from: "me", shown: notHiddenFrom("m"), start: "me.start" }
    const number = sql.literal(numbering.number)
    const shown = sql`${belongs} AND ${sql.literal(scan.shown)}`
    const rows = yield* sql<{ visibleFromSeq: number } & (MessageRow | { id: null })>`
      WITH RECURSIVE me AS MATERIALIZED (
        SELECT i.*, LEAST(GREATEST(i.wanted, i.first), i.past) AS start FROM (
          SELECT c.conversation_id, c.user_id, c.visible_from_seq, c.hides, ${first} AS first, ${past} AS past,
            ${start} AS wanted
          FROM conversation_members c JOIN conversation_heads h ON h.conversation_id = c.conversation_id
          WHERE c.conversation_id = ${query.conversationId}::uuid AND c.user_id = ${query.userId}::uuid
            AND c.left_seq IS NULL
          OFFSET 0
        ) i
      ), ${windows(sql, { ...scan, name: "older", side: "older", end: "me.first", ...sizesFor(older) })},
      ${windows(sql, { ...scan, name: "newer", side: "newer", end: "me.past", ...sizesFor(newer) })},
      page AS MATERIALIZED (
        SELECT p.* FROM me CROSS JOIN older w CROSS JOIN LATERAL (
          SELECT m.* FROM messages m WHERE ${number} >= w.low AND ${number} < w.high AND ${shown}
          ORDER BY ${number} DESC LIMIT ${older}::bigint + 1 - w.before
        ) p WHERE w.low < w.high
        UNION ALL
        SELECT p.* FROM me CROSS JOIN newer w CROSS JOIN LATERAL (
          SELECT m.* FROM messages m WHERE ${number} >= w.low AND ${number} < w.high AND ${shown}
          ORDER BY ${number} LIMIT ${newer}::bigint + 1 - w.before
        ) p WHERE w.low < w.high
      )
      SELECT me.visible_from_seq, ${sql.literal(messageColumns)}, ${sql.literal(myColumns)}
      FROM me LEFT JOIN (page m ${sql.literal(repliedTo)}) ON true ORDER BY m.seq`
    const [row] = rows
    if (row === undefined) return yield* noConversation
    const found = rows.flatMap((one) => (one.id === null ? [] : [toMessage(one, row.visibleFromSeq)]))
    const below = found.filter(({ seq }) => seq < from).length
    const hasBefore = below > older
    const hasAfter = found.length - below > newer
    return { items: found.slice(hasBefore ? 1 : 0, hasAfter ? -1 : found.length), hasBefore, hasAfter }
  }, orUnavailable)
