import { Context, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { type ConversationId, type MessageId, Seq, type UserId } from "../../domain/Ids.ts"
import type { Message } from "../../domain/Message.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../../domain/Problem.ts"
import { noConversation } from "../../domain/Refusals.ts"
import { type Changed, makeChanges } from "../log/Changes.ts"
import {
  type MessageRow,
  messageColumns,
  messageTables,
  myColumns,
  notHiddenFrom,
  toMessage
} from "../log/MessageRows.ts"
import { checkLimit, cursorOf, pageOf } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { messageProblems } from "./MessageRules.ts"

/** The cursor of a list of pins holds the seq of the last pinned message on the page. */
export const pinCursor = cursorOf(Schema.Struct({ seq: Seq }))

/** The seq below which a page of pins begins. */
export const pinsBefore = ({ cursor }: PageRequest): Effect.Effect<number, InvalidRequest> =>
  cursor === undefined
    ? Effect.succeed(Number.MAX_SAFE_INTEGER)
    : Effect.map(pinCursor.decode(cursor), ({ seq }) => seq)

const { blocked, deleted, forbidden, "no-message": noMessage } = messageProblems

/** Pinned messages. In a DM both members pin; in a group owners and admins do. */
export class Pins extends Context.Service<
  Pins,
  {
    /**
     * Pins a message for all members. Fails with `NotFound` for a message that the user may not see, `Forbidden` for a
     * plain member of a group and when the other member of the DM has blocked the user, and `Conflict`
     * ("message-deleted") for a deleted message. Pinning a pinned message succeeds without an event.
     */
    readonly add: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId
    ) => Effect.Effect<void, Forbidden | Conflict | NotFound | Unavailable>
    /**
     * Unpins a message for all members. Fails with `NotFound` for a message that the user may not see, and `Forbidden`
     * for a plain member of a group and when the other member of the DM has blocked the user. Unpinning a message that
     * is not pinned succeeds without an event.
     */
    readonly remove: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId
    ) => Effect.Effect<void, Forbidden | NotFound | Unavailable>
    /**
     * The pinned messages that the member may see, the latest message first. Fails with `NotFound` when the user is not
     * a member, and `InvalidRequest` for a bad limit or cursor.
     */
    readonly list: (
      userId: UserId,
      conversationId: ConversationId,
      page: PageRequest
    ) => Effect.Effect<Page<Message>, InvalidRequest | NotFound | Unavailable>
  }
>()("chat/services/Pins") {
  /** The implementation on PostgreSQL. */
  static readonly layer = Layer.effect(
    Pins,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { limits } = yield* Settings
      const { change } = yield* makeChanges
      const problems = { "no-message": noMessage, blocked, forbidden }
      const call = (userId: UserId, conversationId: ConversationId, messageId: MessageId, pinned: boolean) =>
        sql<Changed>`SELECT * FROM pin_message(${conversationId}::uuid, ${userId}::uuid, ${messageId}::uuid,
          ${pinned}::boolean)`
      return Pins.of({
        add: (userId, conversationId, messageId) =>
          Effect.asVoid(
            change(conversationId, call(userId, conversationId, messageId, true), { ...problems, deleted })
          ),
        remove: (userId, conversationId, messageId) =>
          Effect.asVoid(change(conversationId, call(userId, conversationId, messageId, false), problems)),
        list: Effect.fn("Pins.list")(function* (userId, conversationId, page) {
          yield* checkLimit(page, limits.pageSize)
          const rows = yield* sql<{ visibleFromSeq: number } & (MessageRow | { id: null })>`
            SELECT me.visible_from_seq, pin.* FROM conversation_members me LEFT JOIN LATERAL (
              SELECT ${sql.literal(messageColumns)}, ${sql.literal(myColumns)} FROM ${sql.literal(messageTables)}
              WHERE m.conversation_id = me.conversation_id AND m.pinned_at IS NOT NULL
                AND m.seq >= me.visible_from_seq AND m.seq < ${yield* pinsBefore(page)}::bigint
                AND ${sql.literal(notHiddenFrom("m"))}
              ORDER BY m.seq DESC LIMIT ${page.limit + 1}
            ) pin ON true
            WHERE me.conversation_id = ${conversationId}::uuid AND me.user_id = ${userId}::uuid AND me.left_seq IS NULL
            ORDER BY pin.seq DESC`
          const [first] = rows
          if (first === undefined) return yield* noConversation
          const pinned = rows.flatMap((row) => (row.id === null ? [] : [toMessage(row, first.visibleFromSeq)]))
          return pageOf(pinned, page.limit, pinned.slice(0, page.limit), pinCursor.encode)
        }, orUnavailable)
      })
    })
  )
}
