import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { unreadCap } from "../domain/Conversation.ts"
import type { ConversationId, MessageId, UserId } from "../domain/Ids.ts"
import type { InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { participantCap, type Thread } from "../domain/Thread.ts"
import { hidden } from "../domain/Visibility.ts"
import { Log } from "./Log.ts"
import { noMessage } from "./LogReader.ts"
import { notHiddenFrom } from "./MessageRows.ts"
import { type HistoryQuery, placeOf } from "./MessageRules.ts"
import { makeTellDevices } from "./OwnDevices.ts"
import { checkLimit } from "./Paging.ts"
import { Settings } from "./Settings.ts"
import { isRetryable, orUnavailable } from "./Sql.ts"
import { makeThreadsMemory } from "./ThreadsMemory.ts"

/**
 * What is known of a thread besides its messages. Where its root lies before what the reader may see, only the replies
 * that he sees are counted.
 */
export interface ThreadState extends Pick<Thread, "replyCount" | "participants" | "readSeq" | "unreadCount"> {
  readonly rootId: MessageId
  readonly rootSeq: number
}

/** What a thread is read from, and where its markers are kept. Each names the thread by its root or any of its replies. */
export interface ThreadStorage {
  readonly find: (
    userId: UserId,
    conversationId: ConversationId,
    messageId: MessageId
  ) => Effect.Effect<ThreadState, NotFound | Unavailable>
  /** Whether the marker has moved. */
  readonly mark: (
    userId: UserId,
    conversationId: ConversationId,
    messageId: MessageId,
    seq: number
  ) => Effect.Effect<boolean, NotFound | Unavailable>
}

const make = Effect.fnUntraced(function* (storage: ThreadStorage) {
  const log = yield* Log
  const tellDevices = yield* makeTellDevices
  const { limits } = yield* Settings
  return Threads.of({
    list: Effect.fn("Threads.list")(function* (userId, conversationId, messageId, query) {
      yield* checkLimit(query, limits.pageSize)
      const place = yield* placeOf(query)
      const { rootId, rootSeq, ...state } = yield* storage.find(userId, conversationId, messageId)
      const root = yield* log.message(conversationId, userId, rootId).pipe(
        // It lies before what he may see.
        Effect.catchTag("NotFound", () => Effect.succeed(hidden(rootId, rootSeq)))
      )
      const page = yield* log.messages({ conversationId, userId, place, limit: query.limit, replies: { to: rootSeq } })
      return { root, ...state, ...page }
    }),
    mark: Effect.fn("Threads.mark")(function* (userId, conversationId, messageId, seq) {
      if (!(yield* storage.mark(userId, conversationId, messageId, seq))) return
      // It is what I count as mentions that has changed: my other devices are to know.
      yield* tellDevices(userId, conversationId)
    })
  })
})

/** Replies to a message, beside the conversation: named by the root or by any reply, each with a marker of its own. */
export class Threads extends Context.Service<
  Threads,
  {
    readonly list: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      query: HistoryQuery
    ) => Effect.Effect<Thread, InvalidRequest | NotFound | Unavailable>
    /** Moves my marker in the thread forward; a mark past the head of the log is the head. */
    readonly mark: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      seq: number
    ) => Effect.Effect<void, NotFound | Unavailable>
  }
>()("chat/services/Threads") {
  /** On PostgreSQL. */
  static readonly layer = Layer.effect(
    Threads,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const notHidden = sql.literal(notHiddenFrom("x"))
      return yield* make({
        find: Effect.fnUntraced(function* (userId, conversationId, messageId) {
          const [state] = yield* sql<ThreadState>`
            SELECT r.id AS root_id, r.seq AS root_seq,
              CASE WHEN r.seq >= me.visible_from_seq THEN r.thread_reply_count ELSE (
                SELECT count(*) FROM messages x WHERE x.conversation_id = me.conversation_id
                  AND x.thread_root_seq = r.seq AND x.seq >= me.visible_from_seq) END AS reply_count,
              ARRAY(SELECT t.user_id FROM thread_members t WHERE t.conversation_id = me.conversation_id
                AND t.root_seq = r.seq AND t.last_reply_seq >= me.visible_from_seq
                ORDER BY t.last_reply_seq DESC LIMIT ${participantCap}) AS participants,
              COALESCE(mine.read_seq, r.seq) AS read_seq,
              (SELECT count(*) FROM (
                SELECT FROM messages x WHERE x.conversation_id = me.conversation_id AND x.thread_root_seq = r.seq
                  AND x.seq > COALESCE(mine.read_seq, r.seq) AND x.seq >= me.visible_from_seq
                  AND x.sender_id <> me.user_id AND x.deleted_at IS NULL AND ${notHidden} LIMIT ${unreadCap}) unread) AS unread_count
            FROM conversation_members me
            CROSS JOIN LATERAL thread_root(me.conversation_id, me.visible_from_seq, ${messageId}::uuid) root
            JOIN messages r ON r.conversation_id = me.conversation_id AND r.seq = root
            LEFT JOIN thread_members mine ON mine.conversation_id = me.conversation_id AND mine.root_seq = r.seq
              AND mine.user_id = me.user_id
            WHERE me.conversation_id = ${conversationId}::uuid AND me.user_id = ${userId}::uuid
              AND me.left_seq IS NULL`
          return state ?? (yield* noMessage)
        }, orUnavailable),
        mark: Effect.fnUntraced(function* (userId, conversationId, messageId, seq) {
          const [marked] = yield* sql<{ outcome: "changed" | "unchanged" | "no-message" }>`
            SELECT outcome FROM mark_thread(${conversationId}::uuid, ${userId}::uuid, ${messageId}::uuid,
              ${seq}::bigint)`.pipe(Effect.retry({ while: isRetryable, times: 2 }))
          if (marked?.outcome === "no-message") return yield* noMessage
          return marked?.outcome === "changed"
        }, orUnavailable)
      })
    })
  )

  /** In `Memory`. */
  static readonly layerTest = Layer.effect(Threads, Effect.flatMap(makeThreadsMemory, make))
}
