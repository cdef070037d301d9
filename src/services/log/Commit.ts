import { Duration, Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { ConversationId } from "../../domain/Ids.ts"
import { Unavailable } from "../../domain/Problem.ts"
import { isUnavailable, retryDeadlocks, wordsOf } from "../platform/Sql.ts"
import { makeThrottledLog } from "../platform/ThrottledLog.ts"
import { Tracing } from "../platform/Tracing.ts"
import { type AppendedRow, appendAll } from "./AppendCall.ts"
import type { NewEntry } from "./Entry.ts"
import { answerWithDefect, type PendingEntry } from "./Settle.ts"

type Batch = ReadonlyArray<PendingEntry>

/** A commit that takes longer counts as failed; the database ends its statements long before that. */
const commitTimeout = Duration.seconds(20)

const unavailable = Effect.fail(new Unavailable({ detail: "The database does not answer right now" }))

const commitSpan = (batch: Batch) => () => ({
  name: "Log.commit",
  kind: "internal" as const,
  attributes: { "chat.batch.size": batch.length }
})

const idOf = (entry: NewEntry) => `${entry.conversationId} ${entry.senderId} ${entry.clientMessageId}`

/** Splits a batch into turns, none of which has the same id twice. */
const turnsOf = (batch: Batch): ReadonlyArray<Batch> => {
  const seen = new Map<string, number>()
  const turns: Array<Array<PendingEntry>> = []
  for (const entry of batch) {
    const id = idOf(entry.input)
    const turn = seen.get(id) ?? 0
    seen.set(id, turn + 1)
    const entries = turns[turn]
    if (entries === undefined) turns.push([entry])
    else entries.push(entry)
  }
  return turns
}

/**
 * Makes `commit`, which commits a batch and answers its entries through `settle`. With `wait` it waits for conversation
 * heads that other writers hold; without, it returns the entries of those conversations, unanswered.
 */
export const makeCommit = Effect.fnUntraced(function* (
  settle: (batch: Batch, rows: ReadonlyArray<AppendedRow>) => Effect.Effect<void>
) {
  const sql = yield* SqlClient.SqlClient
  const tracing = yield* Tracing
  const throttled = yield* makeThrottledLog
  const logUnavailable = throttled((reason: string, entries: number) =>
    Effect.logWarning("appends fail: the database does not answer", { reason, entries })
  )

  const answerUnavailable = (batch: Batch, reason: string) => {
    for (const entry of batch) entry.answer(unavailable)
    logUnavailable(reason, batch.length)
    return Effect.succeed([])
  }

  /** When a batch fails because of its data, it is repeated entry by entry, so that only the bad entry fails. */
  const recover = (error: SqlError, batch: Batch, wait: boolean) => {
    if (isUnavailable(error)) return answerUnavailable(batch, wordsOf(error.reason))
    if (batch.length === 1) return Effect.die(error)
    return commitInTurn(
      batch.map((entry) => [entry]),
      wait
    )
  }

  const commitOnce = (batch: Batch, wait: boolean): Effect.Effect<Batch> =>
    appendAll(
      sql,
      batch.map((entry) => entry.input),
      wait
    ).pipe(
      retryDeadlocks,
      Effect.timeout(commitTimeout),
      Effect.flatMap((rows) => {
        const locked = rows.flatMap((row) => (row.outcome === "locked" ? (batch[row.position - 1] ?? []) : []))
        // The fiber starts when this one waits, so that the database works on the next batch meanwhile.
        return Effect.as(Effect.forkDetach(settle(batch, rows)), locked)
      }),
      Effect.catch((error) =>
        error._tag === "TimeoutError" ? answerUnavailable(batch, "no answer to a commit") : recover(error, batch, wait)
      ),
      // A lane must survive every failure, because otherwise its conversation would never accept a message again.
      Effect.catchCause((cause) => {
        answerWithDefect(batch, cause)
        return Effect.succeed([])
      }),
      (committed) =>
        tracing.batch(
          committed,
          batch.map(({ span }) => span),
          commitSpan(batch)
        )
    )

  /**
   * Commits one batch after the other. Once a conversation is found locked, its later entries are returned too, because
   * their order must stay.
   */
  const commitInTurn = Effect.fnUntraced(function* (batches: ReadonlyArray<Batch>, wait: boolean) {
    const locked: Array<PendingEntry> = []
    const held = new Set<ConversationId>()
    for (const batch of batches) {
      const free = batch.filter(({ input }) => !held.has(input.conversationId))
      locked.push(...batch.filter(({ input }) => held.has(input.conversationId)))
      const rest = free.length === 0 ? [] : yield* commitOnce(free, wait)
      for (const { input } of rest) held.add(input.conversationId)
      locked.push(...rest)
    }
    return locked
  })

  return (batch: Batch, wait: boolean): Effect.Effect<Batch> => {
    // The second entry under an id finds the first one stored, and is answered as its duplicate.
    const turns = turnsOf(batch)
    return turns.length === 1 ? commitOnce(batch, wait) : commitInTurn(turns, wait)
  }
})
