import { Effect, Layer } from "effect"
import type { MessageId, UserId } from "../../domain/Ids.ts"
import { toMessage } from "../../services/log/MessageRows.ts"
import { messageProblems } from "../../services/messages/MessageRules.ts"
import { StarStorage, Stars } from "../../services/messages/Stars.ts"
import { makeChangesMemory } from "./Changes.ts"
import { historyOf, messageFor, rowOf } from "./Log.ts"
import { Memory, type StarRow } from "./State.ts"

const storage = Layer.effect(
  StarStorage,
  Effect.gen(function* () {
    const { conversations, stars } = yield* Memory
    const { atomically, nextUserSeq } = yield* makeChangesMemory

    /** The stars of messages that the user may see, in the order of their changes. */
    const starsOf = (userId: UserId) =>
      Array.from(stars.get(userId)?.values() ?? [])
        .flatMap((star) => {
          const conversation = conversations.get(star.conversationId)
          const me = conversation?.members.get(userId)
          if (conversation === undefined || me?.leftSeq !== null || star.messageSeq < me.visibleFromSeq) return []
          return [{ conversation, me, star }]
        })
        .sort((a, b) => a.star.userSeq - b.star.userSeq)

    return StarStorage.of({
      set: Effect.fnUntraced(function* (userId, conversationId, messageId, starred) {
        const { message } = yield* messageFor(conversations, userId, conversationId, messageId)
        const mine = stars.get(userId) ?? new Map<MessageId, StarRow>()
        if ((mine.get(messageId)?.starred ?? false) === starred) return null
        if (starred && message.deletedAt !== null) return yield* messageProblems.deleted
        const messageSeq = message.seq
        mine.set(messageId, { conversationId, messageId, messageSeq, starred, userSeq: nextUserSeq(userId) })
        stars.set(userId, mine)
        return messageSeq
      }, atomically),
      list: (userId, before, limit) =>
        Effect.sync(() =>
          starsOf(userId)
            .filter(({ star }) => star.starred && star.userSeq < before)
            .reverse()
            .flatMap(({ conversation, me, star }) => {
              const message = historyOf(conversation, me).find(({ seq }) => seq === star.messageSeq)
              if (message === undefined || message.deletedAt !== null) return []
              const row = rowOf(conversation, message, userId)
              return [{ userSeq: star.userSeq, message: toMessage(row, me.visibleFromSeq) }]
            })
            .slice(0, limit)
        ),
      changedAfter: (userId, userSeq) =>
        Effect.sync(() =>
          starsOf(userId)
            .filter(({ star }) => star.userSeq > userSeq)
            .map(({ star: { conversationId, messageId, messageSeq, starred } }) => ({
              conversationId,
              messageId,
              messageSeq,
              starred
            }))
        )
    })
  })
)

/** Stars in memory, next to the conversations in `Memory`. */
export const layerMemory = Stars.layerNoDeps.pipe(Layer.provide(storage))
