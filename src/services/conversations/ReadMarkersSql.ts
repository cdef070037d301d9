import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Unread } from "../../domain/Conversation.ts"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import type { NotFound } from "../../domain/Problem.ts"
import { noConversation } from "../../domain/Refusals.ts"
import { encodeEphemeral, PubSub } from "../bus/PubSub.ts"
import { conversationSubject, userSubject } from "../bus/Subjects.ts"
import { makeGroupCommit, type Pending, queueSize } from "../platform/load/GroupCommit.ts"
import { int8s, isRetryable, orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { Tracing } from "../platform/Tracing.ts"
import { ReadMarkers } from "./ReadMarkers.ts"
import { unreadCounts } from "./UnreadCounts.ts"

interface Mark {
  readonly conversationId: ConversationId
  readonly userId: UserId
  readonly seq: number
  readonly force: boolean
}

/** The outcome of one mark of a batch. */
interface Marked {
  /** Which mark of the batch it is, from 1 on. */
  readonly position: number
  /** The marker after the mark. */
  readonly seq: number
  readonly changed: boolean
  /** Whether the marker has moved and the other members are to be notified. */
  readonly announced: boolean
}

type PendingMark = Pending<Mark, Marked, NotFound>

/** How many marks of a failed batch are tried again at a time, each by itself. */
const retriedAtATime = 4

const commitSpan = (batch: ReadonlyArray<PendingMark>) => () => ({
  name: "ReadMarkers.commit",
  kind: "internal" as const,
  attributes: { "chat.batch.size": batch.length }
})

const isSameMember = (one: Mark, other: Mark) =>
  one.conversationId === other.conversationId && one.userId === other.userId

/** Makes a queue of marks that commits them together, without a timer. */
const makeMarkQueue = Effect.fnUntraced(function* (
  queue: "reads" | "deliveries",
  call: (marks: ReadonlyArray<Mark>) => Effect.Effect<ReadonlyArray<Marked>, SqlError>
) {
  const tracing = yield* Tracing

  /** When another transaction keeps one row locked, the batch fails and each mark is tried by itself. */
  const commit = (batch: ReadonlyArray<PendingMark>): Effect.Effect<void> =>
    call(batch.map(({ input }) => input)).pipe(
      Effect.flatMap((rows) =>
        Effect.sync(() => {
          for (const row of rows) batch[row.position - 1]?.answer(Effect.succeed(row))
          // A mark without a row is that of a non-member; for all others this second answer has no effect.
          for (const pending of batch) pending.answer(Effect.fail(noConversation))
        })
      ),
      (marked) => (batch.length === 1 ? retryDeadlocks(marked) : marked),
      Effect.catchIf(
        (error) => batch.length > 1 && isRetryable(error),
        () => Effect.forEach(batch, (one) => commit([one]), { concurrency: retriedAtATime, discard: true })
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

  return yield* makeGroupCommit<Mark, Marked, NotFound>({
    queue,
    ...queueSize,
    startsBatch: (batch, next) => batch.some((mark) => isSameMember(mark, next)),
    commit
  })
})

const makeMarks = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const pubsub = yield* PubSub

  const columns = (marks: ReadonlyArray<Mark>) => sql`${marks.map(({ conversationId }) => conversationId)}::uuid[],
    ${marks.map(({ userId }) => userId)}::uuid[], ${int8s(marks.map(({ seq }) => seq))}::bigint[]`

  const reads = yield* makeMarkQueue(
    "reads",
    (marks) => sql<Marked>`SELECT ord AS position, read_seq AS seq, changed, told AS announced
      FROM mark_read(${columns(marks)}, ${marks.map(({ force }) => force)}::boolean[])`
  )
  const deliveries = yield* makeMarkQueue(
    "deliveries",
    (marks) => sql<Marked>`SELECT ord AS position, seq, changed, told AS announced
      FROM mark_delivered(${columns(marks)})`
  )

  const markRead: ReadMarkers["Service"]["markRead"] = Effect.fn("ReadMarkers.markRead")(function* (
    userId,
    conversationId,
    { force = false, seq }
  ) {
    const marked = yield* reads.submit({ conversationId, userId, seq, force })
    if (!marked.changed) return
    yield* pubsub.publish(marked.announced ? conversationSubject(conversationId) : userSubject(userId), [
      encodeEphemeral(
        { event: "read.marked", conversationId, data: { userId, seq: marked.seq } },
        { refersTo: marked.seq }
      )
    ])
  })

  const markDelivered: ReadMarkers["Service"]["markDelivered"] = Effect.fn("ReadMarkers.markDelivered")(
    function* (userId, conversationId, seq) {
      const marked = yield* deliveries.submit({ conversationId, userId, seq, force: false })
      if (!marked.announced) return
      yield* pubsub.publish(conversationSubject(conversationId), [
        encodeEphemeral(
          { event: "delivered.marked", conversationId, data: { userId, seq: marked.seq } },
          { refersTo: marked.seq }
        )
      ])
    }
  )

  return { markRead, markDelivered }
})

const makeUnread = Effect.map(SqlClient.SqlClient, (sql): ReadMarkers["Service"]["unread"] => {
  const counts = unreadCounts(sql)
  return Effect.fn("ReadMarkers.unread")(function* (userId) {
    const [row] = yield* sql<Unread>`
      SELECT COALESCE(sum((${counts.messages})), 0)::bigint AS unread_count,
        COALESCE(sum((${counts.mentions})), 0)::bigint AS mention_count
      FROM conversation_members me JOIN conversation_heads h ON h.conversation_id = me.conversation_id
      WHERE me.user_id = ${userId}::uuid AND me.left_seq IS NULL`
    return row ?? { unreadCount: 0, mentionCount: 0 }
  }, orUnavailable)
})

/** Read and delivered markers on PostgreSQL. */
export const layer = Layer.effect(
  ReadMarkers,
  Effect.gen(function* () {
    return ReadMarkers.of({ ...(yield* makeMarks), unread: yield* makeUnread })
  })
)
