import { Context, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import type { Message } from "../../domain/Message.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import type { Conflict, InvalidRequest, NotFound, Unavailable } from "../../domain/Problem.ts"
import type { StarChange } from "../../domain/Sync.ts"
import { encodeEphemeral, PubSub } from "../bus/PubSub.ts"
import { userSubject } from "../bus/Subjects.ts"
import { refuse } from "../log/Changes.ts"
import { type MessageRow, messageColumns, myColumns, notHiddenFrom, repliedTo, toMessage } from "../log/MessageRows.ts"
import { checkLimit, cursorOf, pageOf } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { messageProblems } from "./MessageRules.ts"

const { deleted, "no-message": noMessage } = messageProblems
const starProblems = { deleted, "no-message": noMessage }

/** A saved message with the user seq at which it was saved, which orders the list. */
interface StarredMessage {
  readonly userSeq: number
  readonly message: Message
}

/** Where stars are kept. It gives only those of messages that the user may see now. */
export class StarStorage extends Context.Service<
  StarStorage,
  {
    /** Answers with the seq of the message, or null when the message was starred, or not starred, before. */
    readonly set: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      starred: boolean
    ) => Effect.Effect<number | null, Conflict | NotFound | Unavailable>
    /** The starred messages, without deleted and hidden ones, whose user seq is below `before`, the highest first. */
    readonly list: (
      userId: UserId,
      before: number,
      limit: number
    ) => Effect.Effect<ReadonlyArray<StarredMessage>, Unavailable>
    /** The stars that were set or taken back after `userSeq`, the lowest user seq first. */
    readonly changedAfter: (userId: UserId, userSeq: number) => Effect.Effect<ReadonlyArray<StarChange>, Unavailable>
  }
>()("chat/services/StarStorage") {
  /** The implementation on PostgreSQL. */
  static readonly layer = Layer.effect(
    StarStorage,
    Effect.map(SqlClient.SqlClient, (sql) => ({
      set: Effect.fnUntraced(function* (userId, conversationId, messageId, starred) {
        const [row] = yield* sql<{ outcome: string; messageSeq: number }>`
          SELECT * FROM star_message(${conversationId}::uuid, ${userId}::uuid, ${messageId}::uuid,
            ${starred}::boolean)`.pipe(retryDeadlocks)
        yield* refuse(row?.outcome, starProblems)
        return row?.outcome === "changed" ? row.messageSeq : null
      }, orUnavailable),
      // The LIMITs keep both look-ups at one index probe for each star, whatever the planner knows of the tables.
      list: (userId, before, limit) =>
        sql<{ starSeq: number; visibleFromSeq: number } & MessageRow>`
          SELECT s.user_seq AS star_seq, me.visible_from_seq, ${sql.literal(messageColumns)}, ${sql.literal(myColumns)}
          FROM stars s
          CROSS JOIN LATERAL (
            SELECT * FROM conversation_members x
            WHERE x.conversation_id = s.conversation_id AND x.user_id = s.user_id AND x.left_seq IS NULL
              AND x.visible_from_seq <= s.message_seq LIMIT 1
          ) me
          CROSS JOIN LATERAL (
            SELECT * FROM messages x WHERE x.conversation_id = s.conversation_id AND x.seq = s.message_seq LIMIT 1
          ) m ${sql.literal(repliedTo)}
          WHERE s.user_id = ${userId}::uuid AND s.starred AND s.user_seq < ${before}::bigint
            AND m.deleted_at IS NULL AND ${sql.literal(notHiddenFrom("m"))}
          ORDER BY s.user_seq DESC LIMIT ${limit}`.pipe(
          Effect.map((rows) =>
            rows.map((row) => ({ userSeq: row.starSeq, message: toMessage(row, row.visibleFromSeq) }))
          ),
          orUnavailable
        ),
      changedAfter: (userId, userSeq) =>
        orUnavailable(sql<StarChange>`
          SELECT s.conversation_id, s.message_id, s.message_seq, s.starred FROM stars s
          CROSS JOIN LATERAL (
            SELECT FROM conversation_members x
            WHERE x.conversation_id = s.conversation_id AND x.user_id = s.user_id AND x.left_seq IS NULL
              AND x.visible_from_seq <= s.message_seq LIMIT 1
          ) me
          WHERE s.user_id = ${userId}::uuid AND s.user_seq > ${userSeq}::bigint ORDER BY s.user_seq`)
    }))
  )
}

const cursor = cursorOf(Schema.Struct({ userSeq: Schema.Int }))

/** Saved messages: each user has stars of their own, which nobody else sees, the same on all devices of the user. */
export class Stars extends Context.Service<
  Stars,
  {
    /**
     * Saves a message and sends `star.updated` to the user's devices. Saving a saved message does nothing. Fails with
     * `NotFound` for a message that the user may not see, and `Conflict` ("message-deleted") for a deleted message.
     */
    readonly add: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId
    ) => Effect.Effect<void, Conflict | NotFound | Unavailable>
    /**
     * Takes a star back and sends `star.updated` to the user's devices. Does nothing when the message is not saved.
     * Fails with `NotFound` for a message that the user may not see.
     */
    readonly remove: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId
    ) => Effect.Effect<void, NotFound | Unavailable>
    /**
     * The saved messages of all conversations, the last one saved first. Messages that were deleted or hidden, or that
     * the user may not see any longer, are left out. Fails with `InvalidRequest` for a bad limit or cursor.
     */
    readonly list: (userId: UserId, page: PageRequest) => Effect.Effect<Page<Message>, InvalidRequest | Unavailable>
    /** The stars that were set or taken back after a user seq, the earliest first, for a device that reconnects. */
    readonly changedAfter: (userId: UserId, userSeq: number) => Effect.Effect<ReadonlyArray<StarChange>, Unavailable>
  }
>()("chat/services/Stars") {
  /** The rules, on any storage. */
  static readonly layerNoDeps = Layer.effect(
    Stars,
    Effect.gen(function* () {
      const storage = yield* StarStorage
      const pubsub = yield* PubSub
      const { limits } = yield* Settings

      const set = Effect.fnUntraced(function* (
        userId: UserId,
        conversationId: ConversationId,
        messageId: MessageId,
        starred: boolean
      ) {
        const messageSeq = yield* storage.set(userId, conversationId, messageId, starred)
        if (messageSeq === null) return
        yield* pubsub.publish(userSubject(userId), [
          encodeEphemeral({ event: "star.updated", conversationId, data: { messageId, messageSeq, starred } })
        ])
      })

      return Stars.of({
        add: Effect.fn("Stars.add")((userId, conversationId, messageId) =>
          set(userId, conversationId, messageId, true)
        ),
        // Only the saving of a message can find that it is deleted.
        remove: Effect.fn("Stars.remove")((userId, conversationId, messageId) =>
          Effect.catchTag(set(userId, conversationId, messageId, false), "Conflict", Effect.die)
        ),
        list: Effect.fn("Stars.list")(function* (userId, page) {
          yield* checkLimit(page, limits.pageSize)
          const before =
            page.cursor === undefined ? Number.MAX_SAFE_INTEGER : (yield* cursor.decode(page.cursor)).userSeq
          const rows = yield* storage.list(userId, before, page.limit + 1)
          const items = rows.slice(0, page.limit).map(({ message }) => message)
          return pageOf(rows, page.limit, items, ({ userSeq }) => cursor.encode({ userSeq }))
        }),
        changedAfter: Effect.fn("Stars.changedAfter")(storage.changedAfter)
      })
    })
  )

  /** The implementation on PostgreSQL. */
  static readonly layer = Stars.layerNoDeps.pipe(Layer.provide(StarStorage.layer))
}
