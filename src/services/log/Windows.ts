import type { SqlClient } from "effect/sql"

// Seqs number a conversation without gaps, and thread places a thread. A range of such a number with both bounds has at
// most as many rows as it is wide, whatever plan the planner chooses; with a LIMIT and one bound it may read and sort
// the whole conversation. So the statements here ask for one window after the other, each wider than the one before.

/**
 * A subquery that counts, up to `cap`, the rows of `messages x` that satisfy `where` and whose `number` lies between
 * `from` and `through`, both included. All are SQL expressions on the outer statement, except for the cap.
 */
export const countInWindows = (
  sql: SqlClient.SqlClient,
  query: {
    readonly number: string
    readonly from: string
    readonly through: string
    readonly where: string
    readonly cap: number
  }
) => {
  const { from, number, through, where } = query
  return sql`WITH RECURSIVE counted AS (
      SELECT (${sql.literal(from)})::bigint AS next, ${query.cap}::bigint AS width, 0::bigint AS found
      UNION ALL
      SELECT w.high, c.width * 2, c.found + (SELECT count(*) FROM messages x WHERE ${sql.literal(where)}
        AND ${sql.literal(number)} >= c.next AND ${sql.literal(number)} < w.high)
      FROM counted c
      CROSS JOIN LATERAL (SELECT LEAST((${sql.literal(through)})::bigint + 1, c.next + c.width) AS high) w
      WHERE c.found < ${query.cap}::bigint AND c.next <= ${sql.literal(through)}
    ) SELECT LEAST(max(found), ${query.cap}::bigint) FROM counted`
}

/**
 * A subquery that finds the greatest seq between `from` and `through`, both included, of the rows of `messages x` that
 * satisfy `where`, or null. All are SQL expressions on the outer statement.
 */
export const lastInWindows = (
  sql: SqlClient.SqlClient,
  { from, through, where }: { readonly from: string; readonly through: string; readonly where: string }
) => sql`WITH RECURSIVE looked AS (
      SELECT (${sql.literal(through)})::bigint + 1 AS low, 8::bigint AS width, NULL::bigint AS found
      UNION ALL
      SELECT w.low, l.width * 2, (SELECT max(x.seq) FROM messages x WHERE ${sql.literal(where)}
        AND x.seq >= w.low AND x.seq < l.low)
      FROM looked l CROSS JOIN LATERAL (SELECT GREATEST(${sql.literal(from)}, l.low - l.width) AS low) w
      WHERE l.found IS NULL AND l.low > ${sql.literal(from)}
    ) SELECT max(found) FROM looked`
