import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { NotFound } from "../domain/Problem.ts"
import type { Conversations } from "./Conversations.ts"
import { makeGroupCommit, type Pending } from "./GroupCommit.ts"
import { noConversation } from "./LogReader.ts"
import { conversationSubject, encodeEphemeral, PubSub, userSubject } from "./PubSub.ts"
import { int8s, isRetryable, orUnavailable } from "./Sql.ts"
import { Tracing } from "./Tracing.ts"

interface Mark {
  readonly conversationId: ConversationId
  readonly userId: UserId
  readonly seq: number
  readonly force: boolean
}

/** Where a marker is; `told` when it has moved and the members are to know. */
interface Marked {
  readonly ord: number
  readonly seq: number
  readonly changed: boolean
  readonly told: boolean
}

type PendingMark = Pending<Mark, Marked, NotFound>

const commitSpan = (batch: ReadonlyArray<PendingMark>) => () => ({
  name: "ReadMarkers.commit",
  kind: "internal" as const,
  attributes: { "chat.batch.size": batch.length }
})

/** How far members have read and received, on PostgreSQL: committed together, without a timer. */
export const makeReadMarkers = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const pubsub = yield* PubSub
  const tracing = yield* Tracing

  const makeMarks = (
    queue: "reads" | "deliveries",
    call: (marks: ReadonlyArray<Mark>) => Effect.Effect<ReadonlyArray<Marked>, SqlError>
  ) => {
    /** A row that another transaction keeps locked fails alone: then each mark is tried by itself. */
    const commit = (batch: ReadonlyArray<PendingMark>): Effect.Effect<void> =>
      call(batch.map(({ input }) => input)).pipe(
        Effect.flatMap((rows) =>
          Effect.sync(() => {
            for (const row of rows) batch[row.ord - 1]?.answer(Effect.succeed(row))
            // The others are members of nothing; a second answer does not count.
            for (const pending of batch) pending.answer(Effect.fail(noConversation))
          })
        ),
        Effect.retry({ while: (error) => batch.length === 1 && isRetryable(error), times: 2 }),
        Effect.catchIf(
          (error) => batch.length > 1 && isRetryable(error),
          () => Effect.forEach(batch, (one) => commit([one]), { concurrency: 4, discard: true })
        ),
        orUnavailable,
        Effect.catch((error) =>
          Effect.forEach(batch, ({ answer }) => Effect.sync(() => answer(Effect.fail(error))), { discard: true })
        ),
        (committed) =>
          tracing.batch(
            committed,
            batch.map(({ span }) => span),
            commitSpan(batch)
          )
      )
    return makeGroupCommit<Mark, Marked, NotFound>({
      queue,
      capacity: 20_000,
      maxBatch: 256,
      patienceMs: 10_000,
      startsBatch: (batch, next) =>
        batch.some((mark) => mark.conversationId === next.conversationId && mark.userId === next.userId),
      commit
    })
  }

  const ids = (marks: ReadonlyArray<Mark>) => sql`${marks.map(({ conversationId }) => conversationId)}::uuid[],
    ${marks.map(({ userId }) => userId)}::uuid[], ${int8s(marks.map(({ seq }) => seq))}::bigint[]`

  const reads = yield* makeMarks(
    "reads",
    (marks) => sql<Marked>`SELECT ord, read_seq AS seq, changed, told
      FROM mark_read(${ids(marks)}, ${marks.map(({ force }) => force)}::boolean[])`
  )
  const deliveries = yield* makeMarks("deliveries", (marks) => sql<Marked>`SELECT * FROM mark_delivered(${ids(marks)})`)

  const markRead: Conversations["Service"]["markRead"] = Effect.fn("Conversations.markRead")(function* (
    userId,
    conversationId,
    { force = false, seq }
  ) {
    const marked = yield* reads.submit({ conversationId, userId, seq, force })
    if (!marked.changed) return
    // In a large conversation only one's own devices are told.
    yield* pubsub.publish(marked.told ? conversationSubject(conversationId) : userSubject(userId), [
      encodeEphemeral(
        { event: "read.marked", conversationId, data: { userId, seq: marked.seq } },
        { refers: marked.seq }
      )
    ])
  })

  const markDelivered: Conversations["Service"]["markDelivered"] = Effect.fn("Conversations.markDelivered")(
    function* (userId, conversationId, seq) {
      const marked = yield* deliveries.submit({ conversationId, userId, seq, force: false })
      if (!marked.told) return
      yield* pubsub.publish(conversationSubject(conversationId), [
        encodeEphemeral(
          { event: "delivered.marked", conversationId, data: { userId, seq: marked.seq } },
          { refers: marked.seq }
        )
      ])
    }
  )

  return { markRead, markDelivered }
})
