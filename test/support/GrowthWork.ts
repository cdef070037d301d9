import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { Contacts } from "../../src/services/identity/Contacts.ts"
import type { DisappearingMessages } from "../../src/services/messages/DisappearingMessages.ts"
import type { Sync } from "../../src/services/messages/Sync.ts"
import { makeExplain } from "./Explain.ts"
import { others } from "./GrowthData.ts"
import type { Operators } from "./Operators.ts"

/**
 * The upper bound of the work for an answer: a number, or a function of the size when the work must grow with it, and of
 * the rows of others that a planner may read too.
 */
type Bound = number | ((size: number, others: number) => number)

export interface Answer {
  readonly rows: Bound
  readonly buffers: Bound
  /**
   * True when a planner without statistics may read and sort what the page is cut from. The first run of autovacuum ends
   * that.
   */
  readonly needsStatistics?: boolean
  readonly get: (
    size: number
  ) => Effect.Effect<unknown, unknown, Contacts | Operators | DisappearingMessages | SqlClient.SqlClient | Sync>
}

const boundOf = (bound: Bound, size: number, strange: number) =>
  typeof bound === "number" ? bound : bound(size, strange)

/**
 * Fails unless the work for an answer is within its bounds, with every kind of plan. Returns the work. Changes of catalogs
 * by other tests on the same server can make a session load them again, so too many buffers are counted anew.
 */
export const staysWithin = Effect.fnUntraced(function* (
  { buffers, get, rows }: Answer,
  size: number,
  strange = others
) {
  const explain = yield* makeExplain
  const most = boundOf(buffers, size, strange)
  const work = yield* Effect.repeat(explain(get(size)), { until: (work) => work.buffers <= most, times: 2 })
  assert.isAtMost(work.rows, boundOf(rows, size, strange), `rows, ${work.scans}`)
  assert.isAtMost(work.buffers, most, `buffers, ${work.scans}`)
  return work
})
