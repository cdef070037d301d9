import { performance } from "node:perf_hooks"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { beforeEveryId, type ConversationId } from "../../../domain/Ids.ts"
import type { Unavailable } from "../../../domain/Problem.ts"
import { WrittenLogs } from "../../log/WrittenLogs.ts"
import { every } from "../../platform/Background.ts"
import { orUnavailable } from "../../platform/Sql.ts"
import { makeIndexStep } from "./IndexStep.ts"
import { tokenizerVersion } from "./Tokenizer.ts"

/** At most this many conversations are indexed in one step. */
const conversationsPerStep = 200

/** A page of the sweep looks at this many conversations. */
const conversationsPerPage = 2000

/** The version and the sizes of the index; tests change them. */
interface SearchIndexOptions {
  /** The version of the tokenizer: words of a lower one are written again. */
  readonly version?: number
  /** At most this many events are indexed in one step. */
  readonly eventsPerStep?: number
}

/** The work that is left after a piece of it: none, more, or more at once because new messages are waiting. */
type Progress = "idle" | "more" | "behind"

/**
 * Makes the search index of this node. `work` does the next piece of work: a step for the conversations to whose logs
 * this node has written, or else a page of the sweep that `sweep` begins. The sweep goes through all conversations and
 * finds what nodes have left that have ended, and words of an older tokenizer.
 */
export const makeSearchIndex = Effect.fnUntraced(function* ({
  eventsPerStep = 1000,
  version = tokenizerVersion
}: SearchIndexOptions = {}) {
  const sql = yield* SqlClient.SqlClient
  const written = yield* WrittenLogs
  const step = yield* makeIndexStep(version, eventsPerStep)
  let after: string | null = null

  const remember = (ids: ReadonlyArray<ConversationId>) => {
    for (const id of ids) written.add(id)
  }

  const pageAfter = (id: string) =>
    sql<{ looked: number; last: string; behind: ReadonlyArray<ConversationId> | null }>`
      SELECT count(*) AS looked, max(h.conversation_id::text) AS last, array_agg(h.conversation_id) FILTER (
        WHERE h.seq > COALESCE(s.seq, 0) OR s.tokenizer < ${version}::int
          OR s.tokenizer = ${version}::int AND s.renewed_seq < s.seq) AS behind
      FROM (
        SELECT conversation_id, seq FROM conversation_heads WHERE conversation_id > ${id}::uuid
        ORDER BY conversation_id LIMIT ${conversationsPerPage}
      ) h LEFT JOIN LATERAL (
        SELECT * FROM search_heads x WHERE x.conversation_id = h.conversation_id LIMIT 1
      ) s ON true`.pipe(orUnavailable)

  const work: Effect.Effect<Progress, Unavailable> = Effect.gen(function* () {
    const ids = written.take(conversationsPerStep)
    if (ids.length > 0) {
      // A fault of ours is not repeated before the next sweep.
      const { full, rest } = yield* Effect.tapError(step(ids), () => Effect.sync(() => remember(ids)))
      remember(rest)
      return full ? "behind" : "more"
    }
    if (after === null) return "idle"
    const [page] = yield* pageAfter(after)
    after = page === undefined || page.looked < conversationsPerPage ? null : page.last
    remember(page?.behind ?? [])
    return "more"
  })

  /** Begins a sweep, unless one is under way. */
  const sweep = Effect.sync(() => {
    after ??= beforeEveryId
  })

  return { work, sweep }
})

/** A node whose event loop is busy for more than this share of the time postpones its work … */
const busyShare = 0.5

/** … for at most this many turns. */
const postponedTurns = 10

/** A turn has at most this many steps. */
const stepsPerTurn = 10

/** A sweep begins when the node starts, and after each ten minutes of turns. */
const turnsPerSweep = 1200

/**
 * The job that indexes messages for Search after they were appended. It has two turns a second, and one every five
 * seconds while this node is busy, so that a burst of sends is not slowed by its indexing. Messages that are not indexed
 * yet are found as well, only more slowly.
 */
export const background = Layer.effectDiscard(
  Effect.gen(function* () {
    const { sweep, work } = yield* makeSearchIndex()
    let turns = 0
    let postponed = 0
    let measured = performance.eventLoopUtilization()
    const steps = work.pipe(Effect.repeat({ times: stepsPerTurn - 1, while: (progress) => progress === "behind" }))
    const turn = Effect.suspend(() => {
      const now = performance.eventLoopUtilization()
      const { utilization } = performance.eventLoopUtilization(now, measured)
      measured = now
      if (utilization > busyShare && ++postponed < postponedTurns) return Effect.void
      postponed = 0
      const begin = turns++ % turnsPerSweep === 0 ? sweep : Effect.void
      return Effect.asVoid(Effect.andThen(begin, steps))
    })
    yield* every("500 millis", "the search index", turn)
  })
)
