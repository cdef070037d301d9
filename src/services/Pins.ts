import { Clock, Context, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { type ConversationId, type MessageId, Seq, type UserId } from "../domain/Ids.ts"
import type { Message } from "../domain/Message.ts"
import type { Page, PageRequest } from "../domain/Page.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { type Changed, makeChanges } from "./Changes.ts"
import { makeChangesMemory } from "./ChangesMemory.ts"
import { pageOf } from "./ConversationRows.ts"
import { historyOf, membership, messageFor, rowOf } from "./LogMemory.ts"
import { noConversation } from "./LogReader.ts"
import { Memory } from "./Memory.ts"
import { type MessageRow, messageColumns, messageTables, myColumns, notHiddenFrom, toMessage } from "./MessageRows.ts"
import { messageProblems } from "./MessageRules.ts"
import { checkLimit, cursorOf } from "./Paging.ts"
import { Settings } from "./Settings.ts"
import { orUnavailable } from "./Sql.ts"

const cursor = cursorOf(Schema.Struct({ seq: Seq }))

/** Where a page begins: below this seq. */
const before = (page: PageRequest) =>
  page.cursor === undefined
    ? Effect.succeed(Number.MAX_SAFE_INTEGER)
    : Effect.map(cursor.decode(page.cursor), ({ seq }) => seq)

const { deleted, forbidden, "no-message": noMessage } = messageProblems

type OfMessage = readonly [userId: UserId, conversationId: ConversationId, messageId: MessageId]

/** Pinned messages: in a DM both members pin, in a group owners and admins. */
export class Pins extends Context.Service<
  Pins,
  {
    /** What changes nothing succeeds without an event, here and below. */
    readonly add: (...message: OfMessage) => Effect.Effect<void, Forbidden | Conflict | NotFound | Unavailable>
    readonly remove: (...message: OfMessage) => Effect.Effect<void, Forbidden | NotFound | Unavailable>
    /** Those that the member may see, the latest message first. */
    readonly list: (
      userId: UserId,
      conversationId: ConversationId,
      page: PageRequest
    ) => Effect.Effect<Page<Message>, InvalidRequest | NotFound | Unavailable>
  }
>()("chat/services/Pins") {
  /** On PostgreSQL. */
  static readonly layer = Layer.effect(
    Pins,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { limits } = yield* Settings
      const { change } = yield* makeChanges
      const problems = { "no-message": noMessage, forbidden }
      const call = ([userId, conversationId, messageId]: OfMessage, pinned: boolean) =>
        sql<Changed>`SELECT * FROM pin_message(${conversationId}::uuid, ${userId}::uuid, ${messageId}::uuid,
          ${pinned}::boolean)`
      return Pins.of({
        add: (...message) => Effect.asVoid(change(message[1], call(message, true), { ...problems, deleted })),
        remove: (...message) => Effect.asVoid(change(message[1], call(message, false), problems)),
        list: Effect.fn("Pins.list")(function* (userId, conversationId, page) {
          yield* checkLimit(page, limits.pageSize)
          const rows = yield* sql<{ visibleFromSeq: number } & (MessageRow | { id: null })>`
            SELECT me.visible_from_seq, pin.* FROM conversation_members me LEFT JOIN LATERAL (
              SELECT ${sql.literal(messageColumns)}, ${sql.literal(myColumns)} FROM ${sql.literal(messageTables)}
              WHERE m.conversation_id = me.conversation_id AND m.pinned_at IS NOT NULL
                AND m.seq >= me.visible_from_seq AND m.seq < ${yield* before(page)}::bigint
                AND ${sql.literal(notHiddenFrom("m"))}
              ORDER BY m.seq DESC LIMIT ${page.limit + 1}
            ) pin ON true
            WHERE me.conversation_id = ${conversationId}::uuid AND me.user_id = ${userId}::uuid AND me.left_seq IS NULL
            ORDER BY pin.seq DESC`
          const [first] = rows
          if (first === undefined) return yield* noConversation
          const pinned = rows.flatMap((row) => (row.id === null ? [] : [toMessage(row, first.visibleFromSeq)]))
          return pageOf(pinned, page.limit, pinned.slice(0, page.limit), cursor.encode)
        }, orUnavailable)
      })
    })
  )

  /** In `Memory`. */
  static readonly layerTest = Layer.effect(
    Pins,
    Effect.gen(function* () {
      const { conversations } = yield* Memory
      const { limits } = yield* Settings
      const { addEvent, amend, atomically } = yield* makeChangesMemory
      const find = Effect.fnUntraced(function* (...[userId, conversationId, messageId]: OfMessage) {
        const found = yield* messageFor(conversations, conversationId, userId, messageId)
        return found.conversation.kind === "group" && found.me.role === "member" ? yield* forbidden : found
      })
      const add = Effect.fnUntraced(function* (...[userId, conversationId, messageId]: OfMessage) {
        const { conversation, message } = yield* find(userId, conversationId, messageId)
        if (message.pinnedAt !== null) return
        if (message.deletedAt !== null) return yield* deleted
        yield* amend(conversation, message.seq, { pinnedAt: new Date(yield* Clock.currentTimeMillis) })
        const data = { messageId, messageSeq: message.seq }
        yield* addEvent(conversation, { event: "message.pinned", actorId: userId, data })
      })
      const remove = Effect.fnUntraced(function* (...[userId, conversationId, messageId]: OfMessage) {
        const { conversation, message } = yield* find(userId, conversationId, messageId)
        if (message.pinnedAt === null) return
        yield* amend(conversation, message.seq, { pinnedAt: null })
        const data = { messageId, messageSeq: message.seq }
        yield* addEvent(conversation, { event: "message.unpinned", actorId: userId, data })
      })
      return Pins.of({
        add: (...message) => atomically(add(...message)),
        remove: (...message) => atomically(remove(...message)),
        list: Effect.fnUntraced(function* (userId, conversationId, page) {
          yield* checkLimit(page, limits.pageSize)
          const from = yield* before(page)
          const { conversation, me } = yield* membership(conversations, conversationId, userId)
          const rows = historyOf(conversation, me)
            .filter(({ pinnedAt, seq }) => pinnedAt !== null && seq < from)
            .toReversed()
            .map((message) => toMessage(rowOf(conversation, message, userId), me.visibleFromSeq))
          return pageOf(rows, page.limit, rows.slice(0, page.limit), cursor.encode)
        })
      })
    })
  )
}
