import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { Emoji } from "../domain/Emoji.ts"
import type { ConversationId, MessageId, UserId } from "../domain/Ids.ts"
import { maxReactions } from "../domain/Message.ts"
import type { Conflict, Forbidden, NotFound, Unavailable } from "../domain/Problem.ts"
import { type Changed, makeChanges } from "./Changes.ts"
import { makeChangesMemory } from "./ChangesMemory.ts"
import { messageFor } from "./LogMemory.ts"
import { isBlocked, Memory } from "./Memory.ts"
import { messageProblems } from "./MessageRules.ts"

type React<E> = (
  userId: UserId,
  conversationId: ConversationId,
  messageId: MessageId,
  emoji: Emoji
) => Effect.Effect<void, E | NotFound | Unavailable>

const { blocked, deleted, "no-message": noMessage, "too-many-reactions": tooMany } = messageProblems

/** Reactions to messages: each member has each emoji once. What changes nothing succeeds without an event. */
export class Reactions extends Context.Service<
  Reactions,
  {
    /**
     * `Forbidden` when the other one of the DM has blocked the user; `Conflict` when the message is deleted, or when a
     * new emoji would be one more than a message may have.
     */
    readonly add: React<Conflict | Forbidden>
    readonly remove: React<never>
  }
>()("chat/services/Reactions") {
  /** On PostgreSQL. */
  static readonly layer = Layer.effect(
    Reactions,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { change } = yield* makeChanges
      return Reactions.of({
        add: (userId, conversationId, messageId, emoji) =>
          Effect.asVoid(
            change(
              conversationId,
              sql<Changed>`SELECT * FROM add_reaction(${conversationId}::uuid, ${userId}::uuid, ${messageId}::uuid,
                ${emoji}::text, ${maxReactions}::int)`,
              { "no-message": noMessage, blocked, deleted, "too-many-reactions": tooMany }
            )
          ),
        remove: (userId, conversationId, messageId, emoji) =>
          Effect.asVoid(
            change(
              conversationId,
              sql<Changed>`SELECT * FROM remove_reaction(${conversationId}::uuid, ${userId}::uuid, ${messageId}::uuid,
                ${emoji}::text)`,
              { "no-message": noMessage }
            )
          )
      })
    })
  )

  /** In `Memory`. */
  static readonly layerTest = Layer.effect(
    Reactions,
    Effect.gen(function* () {
      const memory = yield* Memory
      const { conversations } = memory
      const { addEvent, amend, atomically } = yield* makeChangesMemory
      const add = Effect.fnUntraced(function* (
        ...[userId, conversationId, messageId, emoji]: Parameters<React<never>>
      ) {
        const { conversation, message } = yield* messageFor(conversations, conversationId, userId, messageId)
        const { deletedAt, reactions, seq: messageSeq } = message
        if (deletedAt !== null) return yield* deleted
        if (isBlocked(memory, conversation, userId)) return yield* blocked
        const known = reactions.find((reaction) => reaction.emoji === emoji)
        if (known === undefined && reactions.length >= maxReactions) return yield* tooMany
        if (known?.userIds.includes(userId)) return
        const more = { emoji, userIds: [...(known?.userIds ?? []), userId] }
        yield* amend(conversation, messageSeq, {
          reactions:
            known === undefined ? [...reactions, more] : reactions.map((each) => (each === known ? more : each))
        })
        const data = { messageId, messageSeq, emoji, userId, count: more.userIds.length }
        yield* addEvent(conversation, { event: "reaction.added", actorId: userId, data })
      })
      const remove = Effect.fnUntraced(function* (
        ...[userId, conversationId, messageId, emoji]: Parameters<React<never>>
      ) {
        const { conversation, message } = yield* messageFor(conversations, conversationId, userId, messageId)
        const known = message.reactions.find((reaction) => reaction.emoji === emoji)
        if (!known?.userIds.includes(userId)) return
        const less = { emoji, userIds: known.userIds.filter((id) => id !== userId) }
        yield* amend(conversation, message.seq, {
          reactions: message.reactions.flatMap((each) =>
            each !== known ? [each] : less.userIds.length === 0 ? [] : [less]
          )
        })
        const data = { messageId, messageSeq: message.seq, emoji, userId, count: less.userIds.length }
        yield* addEvent(conversation, { event: "reaction.removed", actorId: userId, data })
      })
      return Reactions.of({
        add: (...args) => atomically(add(...args)),
        remove: (...args) => atomically(remove(...args))
      })
    })
  )
}
