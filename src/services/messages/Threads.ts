import { Context, Effect, Layer } from "effect"
import type { ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import type { InvalidRequest, NotFound, Unavailable } from "../../domain/Problem.ts"
import type { Thread } from "../../domain/Thread.ts"
import { hidden } from "../../domain/Visibility.ts"
import { makeDeviceSync } from "../conversations/DeviceSync.ts"
import { Log } from "../log/Log.ts"
import { checkLimit } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import { type HistoryQuery, toHistoryPlace } from "./MessageRules.ts"

/**
 * What is stored of a thread besides its messages. When its root lies before what the reader may see, `replyCount` has
 * only the replies that the reader may see.
 */
export interface ThreadState extends Pick<Thread, "replyCount" | "participants" | "readSeq" | "unreadCount"> {
  readonly rootId: MessageId
  readonly rootSeq: number
}

/** Where threads are found and their read markers are kept. A thread is named by its root or by any of its replies. */
export class ThreadStorage extends Context.Service<
  ThreadStorage,
  {
    /** The state of a thread. Fails with `NotFound` for a message that the user may not see. */
    readonly find: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId
    ) => Effect.Effect<ThreadState, NotFound | Unavailable>
    /** Moves the user's marker forward; answers whether it has moved. */
    readonly mark: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      seq: number
    ) => Effect.Effect<boolean, NotFound | Unavailable>
  }
>()("chat/services/ThreadStorage") {}

/**
 * Replies to a message, kept out of the conversation's history. A thread is named by its root or by any of its replies,
 * and each member has a read marker of its own in it.
 */
export class Threads extends Context.Service<
  Threads,
  {
    /**
     * The root, and a page of the replies in ascending `seq`. Fails with `NotFound` for a message that the user may not
     * see, and `InvalidRequest` for a bad limit or contradictory bounds. A root that lies before what the user may see
     * comes without its content.
     */
    readonly list: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      query: HistoryQuery
    ) => Effect.Effect<Thread, InvalidRequest | NotFound | Unavailable>
    /**
     * Moves the user's read marker in the thread forward; a `seq` past the head of the log counts as the head. Fails with
     * `NotFound` for a message that the user may not see. Repeating it, or marking an earlier `seq`, changes nothing.
     */
    readonly mark: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      seq: number
    ) => Effect.Effect<void, NotFound | Unavailable>
  }
>()("chat/services/Threads") {
  /** The rules, on any storage. */
  static readonly layerNoDeps = Layer.effect(
    Threads,
    Effect.gen(function* () {
      const storage = yield* ThreadStorage
      const log = yield* Log
      const notifyDevices = yield* makeDeviceSync
      const { limits } = yield* Settings
      return Threads.of({
        list: Effect.fn("Threads.list")(function* (userId, conversationId, messageId, query) {
          yield* checkLimit(query, limits.pageSize)
          const place = yield* toHistoryPlace(query)
          const { rootId, rootSeq, ...state } = yield* storage.find(userId, conversationId, messageId)
          const root = yield* log.message(userId, conversationId, rootId).pipe(
            // The root lies before what the user may see.
            Effect.catchTag("NotFound", () => Effect.succeed(hidden(rootId, rootSeq)))
          )
          const { limit } = query
          const page = yield* log.messages({ conversationId, userId, place, limit, replies: { to: rootSeq } })
          return { root, ...state, ...page }
        }),
        mark: Effect.fn("Threads.mark")(function* (userId, conversationId, messageId, seq) {
          if (!(yield* storage.mark(userId, conversationId, messageId, seq))) return
          // The marker changes the user's number of unread mentions, which the user's other devices show.
          yield* notifyDevices(userId, conversationId)
        })
      })
    })
  )
}
