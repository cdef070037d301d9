import type { SqlClient } from "effect/sql"

// Seqs number a conversation without gaps, and thread places a thread. A range of such a number with both bounds has at
// most as many rows as it is wide, whatever plan the planner chooses; with a LIMIT and one bound it may read and sort
// the whole conversation. So the statements here ask for one window after the other, each wider than the one before.
// Where few messages of a window belong to the history, the next one is narrow and begins at the next message that does,
// which one look-up in an index finds: that keeps the work to that of what is found.

/** A part of a statement. */
type Fragment = ReturnType<SqlClient.SqlClient["literal"]>

/** The messages that a look-up finds: those outside of threads, or only those of them that are not deleted. */
export type Stops = "timeline" | "live"

/** A window that follows one with few messages. It has room for some more than the one at which it begins. */
const narrow = 4

/** A window has few messages when no more than one in so many of its numbers are those of the history. */
const sparse = 4

/** The columns of the indexes messages_live and messages_deleted, by which alone a planner can find them. */
const indexed = (deleted: string) =>
  `CASE WHEN j.thread_root_seq IS NULL AND j.deleted_at ${deleted} THEN j.conversation_id END`

/** Where the window after the window `o` begins: at its edge or, if it had few messages, at the next stop. */
const begin = (stops: Stops | undefined, side: "older" | "newer") => {
  const edge = side === "older" ? "o.low" : "o.high"
  if (stops === undefined) return edge
  const order = side === "older" ? `< ${edge} ORDER BY j.seq DESC` : `>= ${edge} ORDER BY j.seq`
  const stop = (deleted: string) =>
    `(SELECT j.seq FROM messages j WHERE ${indexed(deleted)} = me.conversation_id AND j.seq ${order} LIMIT 1)`
  const all = (stops === "live" ? ["IS NULL"] : ["IS NULL", "IS NOT NULL"]).map(stop).join(", ")
  return `CASE WHEN o.few THEN ${side === "older" ? `GREATEST(${all}) + 1` : `LEAST(${all})`} ELSE ${edge} END`
}

/**
 * A recursive common table expression `name`: windows of the rows of `messages m` that satisfy `belongs`, by their
 * `number`, on the side `older` from `start` down to `end`, or on the side `newer` up to but without `end`, until `wanted`
 * of them satisfy `shown`. A row is a window `low` to `high`, with what was found before it, and with it. The first one is
 * empty. All are SQL expressions, on a membership `me` that is a table `from`, or one of the outer statement. `stops` is
 * absent where each number belongs to the history.
 */
export const windows = (
  sql: SqlClient.SqlClient,
  query: {
    readonly name: string
    readonly side: "older" | "newer"
    readonly from?: string
    readonly number: string
    readonly belongs: Fragment
    readonly shown: string
    readonly start: string
    readonly end: string
    readonly wanted: number
    readonly width: number
    readonly stops: Stops | undefined
  }
) => {
  const { belongs, end, from, name, number, shown, side, start, stops, wanted, width } = query
  const [edge, next, range] =
    side === "older"
      ? ["o.low", `GREATEST(${begin(stops, side)}, ${end})`, `GREATEST(b.at - o.width, ${end}) AS low, b.at AS high`]
      : ["o.high", `LEAST(${begin(stops, side)}, ${end})`, `b.at AS low, LEAST(b.at + o.width, ${end}) AS high`]
  const few = stops === undefined ? "false" : `n.rows * ${sparse} <= w.high - w.low`
  return sql`${sql.literal(name)} AS (
      SELECT i.at AS low, i.at AS high, ${width}::bigint AS width, false AS few, 0::bigint AS before, 0::bigint AS found
      FROM (SELECT (${sql.literal(start)})::bigint AS at${sql.literal(from === undefined ? "" : ` FROM ${from}`)}) i
      UNION ALL
      SELECT w.low, w.high, CASE WHEN ${sql.literal(few)} THEN ${narrow}::bigint ELSE o.width * 2 END,
        ${sql.literal(few)}, o.found, o.found + n.found
      FROM ${sql.literal(`${name} o${from === undefined ? "" : ` CROSS JOIN ${from}`}`)}
      CROSS JOIN LATERAL (SELECT ${sql.literal(next)} AS at OFFSET 0) b
      CROSS JOIN LATERAL (SELECT ${sql.literal(range)}) w
      CROSS JOIN LATERAL (
        SELECT count(*) AS rows, count(*) FILTER (WHERE ${sql.literal(shown)}) AS found
        FROM messages m WHERE ${belongs} AND ${sql.literal(`${number} >= w.low AND ${number} < w.high`)}
      ) n
      WHERE o.found < ${wanted}::bigint AND ${sql.literal(side === "older" ? `${edge} > ${end}` : `${edge} < ${end}`)}
    )`
}

/**
 * A subquery that counts, up to `cap`, the rows of `messages m` that satisfy `belongs` and `shown` and whose `number` lies
 * between `from` and `through`, both included.
 */
export const countInWindows = (
  sql: SqlClient.SqlClient,
  query: Pick<Parameters<typeof windows>[1], "number" | "belongs" | "shown" | "stops"> & {
    readonly from: string
    readonly through: string
    readonly cap: number
  }
) => {
  const { belongs, cap, from, number, shown, stops, through } = query
  const end = `(${through} + 1)`
  const counted = { name: "counted", side: "newer", number, belongs, shown, start: from, end, stops } as const
  return sql`WITH RECURSIVE ${windows(sql, { ...counted, wanted: cap, width: cap })}
    SELECT LEAST(max(found), ${cap}::bigint) FROM counted`
}

/**
 * A subquery that finds the greatest seq between `from` and `through`, both included, of the rows of `messages m` outside
 * of threads that satisfy `shown`, or null. All but the first window begin at the next message outside of threads.
 */
export const lastInWindows = (
  sql: SqlClient.SqlClient,
  { from, shown, through }: { readonly from: string; readonly through: string; readonly shown: string }
) => sql`WITH RECURSIVE looked AS (
      SELECT (${sql.literal(through)})::bigint + 1 AS low, 8::bigint AS width, false AS few, NULL::bigint AS found
      UNION ALL
      SELECT w.low, o.width * 2, true, (SELECT max(m.seq) FROM messages m WHERE m.conversation_id = me.conversation_id
        AND m.thread_root_seq IS NULL AND ${sql.literal(shown)} AND m.seq >= w.low AND m.seq < w.high)
      FROM looked o
      CROSS JOIN LATERAL (SELECT GREATEST(${sql.literal(begin("timeline", "older"))}, ${sql.literal(from)}) AS at OFFSET 0) b
      CROSS JOIN LATERAL (SELECT GREATEST(b.at - o.width, ${sql.literal(from)}) AS low, b.at AS high) w
      WHERE o.found IS NULL AND o.low > ${sql.literal(from)}
    ) SELECT max(found) FROM looked`
