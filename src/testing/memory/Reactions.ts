import { Effect, Layer } from "effect"
import { maxReactions, maxReactionsOfMember } from "../../domain/Message.ts"
import { messageProblems } from "../../services/messages/MessageRules.ts"
import { Reactions } from "../../services/messages/Reactions.ts"
import { makeChangesMemory } from "./Changes.ts"
import { messageFor } from "./Log.ts"
import { checkNotBlocked, Memory } from "./State.ts"

/** Reactions in `Memory`. */
export const layerMemory = Layer.effect(
  Reactions,
  Effect.gen(function* () {
    const memory = yield* Memory
    const { conversations } = memory
    const { addEvent, amend, atomically } = yield* makeChangesMemory
    return Reactions.of({
      add: Effect.fnUntraced(function* (userId, conversationId, messageId, emoji) {
        const { conversation, message } = yield* messageFor(conversations, userId, conversationId, messageId)
        yield* checkNotBlocked(memory, conversation, userId)
        const { deletedAt, reactions, seq: messageSeq } = message
        if (deletedAt !== null) return yield* messageProblems.deleted
        const known = reactions.find((reaction) => reaction.emoji === emoji)
        if (known === undefined && reactions.length >= maxReactions) return yield* messageProblems["too-many-reactions"]
        if (known?.userIds.includes(userId)) return
        const own = reactions.filter(({ userIds }) => userIds.includes(userId))
        if (own.length >= maxReactionsOfMember) return yield* messageProblems["too-many-reactions"]
        const added = { emoji, userIds: [...(known?.userIds ?? []), userId] }
        yield* amend(conversation, messageSeq, {
          reactions:
            known === undefined ? [...reactions, added] : reactions.map((each) => (each === known ? added : each))
        })
        const data = { messageId, messageSeq, emoji, userId, count: added.userIds.length }
        yield* addEvent(conversation, { event: "reaction.added", actorId: userId, data })
      }, atomically),
      remove: Effect.fnUntraced(function* (userId, conversationId, messageId, emoji) {
        const { conversation, message } = yield* messageFor(conversations, userId, conversationId, messageId)
        yield* checkNotBlocked(memory, conversation, userId)
        const known = message.reactions.find((reaction) => reaction.emoji === emoji)
        if (!known?.userIds.includes(userId)) return
        const left = { emoji, userIds: known.userIds.filter((id) => id !== userId) }
        yield* amend(conversation, message.seq, {
          reactions: message.reactions.flatMap((each) =>
            each !== known ? [each] : left.userIds.length === 0 ? [] : [left]
          )
        })
        const data = { messageId, messageSeq: message.seq, emoji, userId, count: left.userIds.length }
        yield* addEvent(conversation, { event: "reaction.removed", actorId: userId, data })
      }, atomically)
    })
  })
)
