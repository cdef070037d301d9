import { Cause, Effect, Semaphore, type Tracer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId } from "../domain/Ids.ts"
import { type Conflict, type Forbidden, NotFound, Unavailable } from "../domain/Problem.ts"
import { type AppendedRow, appendAll, storedRow } from "./AppendCall.ts"
import { blocked } from "./ConversationRules.ts"
import { makeGroupCommit, type Pending } from "./GroupCommit.ts"
import type { Appended, Log, NewEntry } from "./Log.ts"
import { noConversation, reused } from "./LogReader.ts"
import { makeMessageCounts } from "./MessageCounts.ts"
import { messageCreated } from "./MessageRows.ts"
import { conversationSubject, encodeEvent, type Published, PubSub } from "./PubSub.ts"
import { makeRareLog } from "./RareLog.ts"
import { isRetryable, isUnavailable } from "./Sql.ts"
import { Tracing, within } from "./Tracing.ts"

type Entry = Pending<NewEntry, Appended, NotFound | Forbidden | Conflict>

/** What one conversation is told after a commit, and the first traced send of it. */
interface Outgoing {
  readonly events: Array<Published>
  readonly span: Tracer.AnySpan | undefined
}

/** How the writer goes about it; tests make these smaller. */
export interface LogOptions {
  /** Batches in flight at a time; a conversation always belongs to the same one. */
  readonly shards?: number
  readonly maxBatch?: number
  readonly capacity?: number
  readonly patienceMs?: number
}

const commitSpan = (batch: ReadonlyArray<Entry>) => () => ({
  name: "Log.commit",
  kind: "internal" as const,
  attributes: { "chat.batch.size": batch.length }
})

const idOf = (entry: NewEntry) => `${entry.conversationId} ${entry.senderId} ${entry.clientMessageId}`

export const noThreadRoot = new NotFound({ detail: "There is no such message to reply to in a thread" })
export const noReplyTarget = new NotFound({ detail: "There is no such message to reply to" })

/**
 * The writing half of the log on PostgreSQL: one writer per shard of conversations, one call of `append_messages` per
 * batch. A conversation whose head another writer holds goes into a lane of its own and waits there for the lock, with
 * all its later entries behind it, so that it stops nobody else. A batch with a poison row is done again row by row.
 */
export const makeLogWriter = Effect.fnUntraced(function* (
  reader: Pick<Log["Service"], "range">,
  { capacity = 20_000, maxBatch = 256, patienceMs = 10_000, shards = 1 }: LogOptions
) {
  const sql = yield* SqlClient.SqlClient
  const pubsub = yield* PubSub
  const countMessages = yield* makeMessageCounts
  const tracing = yield* Tracing
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const lanes = new Map<ConversationId, Array<Entry>>()
  // Each holds a connection while it waits: the rest of the pool is for those who need not.
  const waitingForLocks = yield* Semaphore.make(3)
  const rarely = yield* makeRareLog
  const onUnavailable = rarely((reason: string, entries: number) =>
    Effect.logWarning("appends fail: the database does not answer", { reason, entries })
  )

  const republish = (id: ConversationId, seq: number) =>
    reader.range(id, seq - 1, seq).pipe(
      Effect.flatMap((events) => pubsub.publish(conversationSubject(id), events.map(encodeEvent))),
      Effect.catch(() => Effect.void)
    )

  /** Answers the entry, and says what to publish. */
  const answer = (entry: Entry, row: AppendedRow) => {
    const ack = (duplicate: boolean) => ({
      messageId: row.id,
      seq: row.seq,
      createdAt: row.createdAt.toISOString(),
      duplicate
    })
    switch (row.outcome) {
      case "stored": {
        const event = messageCreated(storedRow(entry.input, row))
        entry.answer(Effect.succeed({ ack: ack(false), message: event.data.message }))
        return encodeEvent(event)
      }
      case "duplicate":
        entry.answer(Effect.succeed({ ack: ack(true), message: null }))
        // The first answer may have been lost together with the event: whoever has it ignores it.
        fork(republish(entry.input.conversationId, row.seq))
        return null
      case "reused":
        entry.answer(Effect.fail(reused))
        return null
      case "not-a-member":
        entry.answer(Effect.fail(noConversation))
        return null
      case "blocked":
        entry.answer(Effect.fail(blocked))
        return null
      case "no-reply-target":
        entry.answer(Effect.fail(noReplyTarget))
        return null
      case "no-thread-root":
        entry.answer(Effect.fail(noThreadRoot))
        return null
      case "locked":
        return null
    }
  }

  /** Answers the entries of a committed batch and publishes what it stored. */
  const settle = (batch: ReadonlyArray<Entry>, rows: ReadonlyArray<AppendedRow>) =>
    Effect.suspend(() => {
      const outgoing = new Map<ConversationId, Outgoing>()
      for (const row of rows) {
        const entry = batch[row.ord - 1]
        const event = entry === undefined ? null : answer(entry, row)
        if (entry === undefined || event === null) continue
        const { conversationId } = entry.input
        const { events = [], span = entry.span } = outgoing.get(conversationId) ?? {}
        events.push(event)
        outgoing.set(conversationId, { events, span })
      }
      for (const [id, { events }] of outgoing) countMessages(id, events.length)
      const traced = batch.some(({ span }) => span !== undefined)
      return Effect.forEach(
        outgoing,
        ([id, { events, span }]) => {
          const published = pubsub.publish(conversationSubject(id), events)
          // In the trace of the send, and of one that is not traced in none.
          return traced ? within(span)(published) : published
        },
        { discard: true }
      )
    }).pipe(
      Effect.catchCause((cause) =>
        Effect.sync(() => {
          for (const entry of batch) entry.answer(Effect.failCause(Cause.die(Cause.squash(cause))))
        })
      )
    )

  const unavailable = Effect.fail(new Unavailable({ detail: "The database does not answer right now" }))

  /** Commits, answers and publishes; gives back the entries whose conversation another writer holds. */
  const commit = (batch: ReadonlyArray<Entry>, wait: boolean): Effect.Effect<ReadonlyArray<Entry>> =>
    appendAll(
      sql,
      batch.map((entry) => entry.input),
      wait
    ).pipe(
      Effect.retry({ while: isRetryable, times: 2 }),
      Effect.timeout("20 seconds"),
      Effect.flatMap((rows) => {
        const locked = rows.flatMap((row) => (row.outcome === "locked" ? (batch[row.ord - 1] ?? []) : []))
        // In a fiber of its own, which starts when this one waits: the database works on the next batch meanwhile.
        return Effect.as(Effect.forkDetach(settle(batch, rows)), locked)
      }),
      Effect.catch((error) => {
        if (error._tag === "TimeoutError" || isUnavailable(error)) {
          for (const entry of batch) entry.answer(unavailable)
          const { _tag: reason } = error._tag === "SqlError" ? error.reason : error
          onUnavailable(reason, batch.length)
          return Effect.succeed([])
        }
        if (batch.length > 1) {
          return commitInTurn(
            batch.map((entry) => [entry]),
            wait
          )
        }
        return Effect.die(error)
      }),
      // A lane must outlive whatever goes wrong in it: else its conversation would be closed for ever.
      Effect.catchCause((cause) => {
        for (const entry of batch) entry.answer(Effect.failCause(Cause.die(Cause.squash(cause))))
        return Effect.succeed([])
      }),
      (committed) =>
        tracing.batch(
          committed,
          batch.map(({ span }) => span),
          commitSpan(batch)
        )
    )

  /** One after the other, without what belongs to a conversation found locked on the way: its order must stay. */
  const commitInTurn = Effect.fnUntraced(function* (batches: ReadonlyArray<ReadonlyArray<Entry>>, wait: boolean) {
    const locked: Array<Entry> = []
    const held = new Set<ConversationId>()
    for (const batch of batches) {
      const free = batch.filter(({ input }) => !held.has(input.conversationId))
      locked.push(...batch.filter(({ input }) => held.has(input.conversationId)))
      const rest = free.length === 0 ? [] : yield* commit(free, wait)
      for (const { input } of rest) held.add(input.conversationId)
      locked.push(...rest)
    }
    return locked
  })

  /** An id that stands twice in a batch is committed once, and then asked again: it is a known one by then. */
  const commitDistinct = (batch: ReadonlyArray<Entry>, wait: boolean): Effect.Effect<ReadonlyArray<Entry>> => {
    const seen = new Map<string, number>()
    const turns: Array<Array<Entry>> = []
    for (const entry of batch) {
      const id = idOf(entry.input)
      const turn = seen.get(id) ?? 0
      seen.set(id, turn + 1)
      const entries = turns[turn]
      if (entries === undefined) turns.push([entry])
      else entries.push(entry)
    }
    return turns.length === 1 ? commit(batch, wait) : commitInTurn(turns, wait)
  }

  const runLane = Effect.fnUntraced(function* (id: ConversationId, lane: Array<Entry>) {
    while (lane.length > 0) {
      yield* waitingForLocks.withPermits(1)(Effect.suspend(() => commitDistinct(lane.splice(0, maxBatch), true)))
    }
    lanes.delete(id)
  })

  /** True when the entry now waits in its conversation's lane. */
  const queueInLane = (entry: Entry) => {
    const lane = lanes.get(entry.input.conversationId)
    lane?.push(entry)
    return lane !== undefined
  }

  const commitShard = (batch: ReadonlyArray<Entry>) => {
    const free = batch.filter((entry) => !queueInLane(entry))
    if (free.length === 0) return Effect.void
    return Effect.map(commitDistinct(free, false), (locked) => {
      const opened = locked.filter((entry) => {
        if (queueInLane(entry)) return false
        lanes.set(entry.input.conversationId, [entry])
        return true
      })
      for (const { input } of opened) fork(runLane(input.conversationId, lanes.get(input.conversationId) ?? []))
    })
  }

  const groups = yield* Effect.all(
    Array.from({ length: shards }, () =>
      makeGroupCommit<NewEntry, Appended, NotFound | Forbidden | Conflict>({
        queue: "messages",
        capacity,
        maxBatch,
        patienceMs,
        commit: commitShard
      })
    )
  )

  const append: Log["Service"]["append"] = (entry) =>
    Effect.suspend(() => {
      const group = groups[Number.parseInt(entry.conversationId.slice(-2), 16) % shards]
      return group === undefined ? Effect.die("no shard") : group.submit(entry)
    })

  return { append }
})
