import { Clock, Effect, Layer } from "effect"
import type { ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import { toMessage } from "../../services/log/MessageRows.ts"
import { messageProblems } from "../../services/messages/MessageRules.ts"
import { Pins, pinCursor, pinsBefore } from "../../services/messages/Pins.ts"
import { checkLimit, pageOf } from "../../services/platform/Paging.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { makeChangesMemory } from "./Changes.ts"
import { historyOf, membership, messageFor, rowOf } from "./Log.ts"
import { checkNotBlocked, Memory } from "./State.ts"

/** Pins in `Memory`. */
export const layerMemory = Layer.effect(
  Pins,
  Effect.gen(function* () {
    const memory = yield* Memory
    const { conversations } = memory
    const { limits } = yield* Settings
    const { addEvent, amend, atomically } = yield* makeChangesMemory

    const find = Effect.fnUntraced(function* (userId: UserId, conversationId: ConversationId, messageId: MessageId) {
      const found = yield* messageFor(conversations, userId, conversationId, messageId)
      yield* checkNotBlocked(memory, found.conversation, userId)
      const isAllowed = found.conversation.kind === "dm" || found.me.role !== "member"
      return isAllowed ? found : yield* messageProblems.forbidden
    })

    return Pins.of({
      add: Effect.fnUntraced(function* (userId, conversationId, messageId) {
        const { conversation, message } = yield* find(userId, conversationId, messageId)
        if (message.pinnedAt !== null) return
        if (message.deletedAt !== null) return yield* messageProblems.deleted
        yield* amend(conversation, message.seq, { pinnedAt: new Date(yield* Clock.currentTimeMillis) })
        const data = { messageId, messageSeq: message.seq }
        yield* addEvent(conversation, { event: "message.pinned", actorId: userId, data })
      }, atomically),
      remove: Effect.fnUntraced(function* (userId, conversationId, messageId) {
        const { conversation, message } = yield* find(userId, conversationId, messageId)
        if (message.pinnedAt === null) return
        yield* amend(conversation, message.seq, { pinnedAt: null })
        const data = { messageId, messageSeq: message.seq }
        yield* addEvent(conversation, { event: "message.unpinned", actorId: userId, data })
      }, atomically),
      list: Effect.fnUntraced(function* (userId, conversationId, page) {
        yield* checkLimit(page, limits.pageSize)
        const from = yield* pinsBefore(page)
        const { conversation, me } = yield* membership(conversations, userId, conversationId)
        const rows = historyOf(conversation, me)
          .filter(({ pinnedAt, seq }) => pinnedAt !== null && seq < from)
          .toReversed()
          .map((message) => toMessage(rowOf(conversation, message, userId), me.visibleFromSeq))
        return pageOf(rows, page.limit, rows.slice(0, page.limit), pinCursor.encode)
      })
    })
  })
)
