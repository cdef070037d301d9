import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { Emoji } from "../../domain/Emoji.ts"
import type { ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import { maxReactions } from "../../domain/Message.ts"
import type { Conflict, Forbidden, NotFound, Unavailable } from "../../domain/Problem.ts"
import { type Changed, makeChanges } from "../log/Changes.ts"
import { messageProblems } from "./MessageRules.ts"

const { blocked, deleted, "no-message": noMessage, "too-many-reactions": tooManyReactions } = messageProblems

/** Reactions to messages. Each member gives each emoji at most once. */
export class Reactions extends Context.Service<
  Reactions,
  {
    /**
     * Gives a reaction. Fails with `NotFound` for a message that the user may not see, `Forbidden` when the other member
     * of the DM has blocked the user, and `Conflict` when the message is deleted ("message-deleted") or a new emoji would
     * be one more than a message may have or one member may give it ("too-many-reactions"). Giving the same reaction
     * again succeeds without an event.
     */
    readonly add: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      emoji: Emoji
    ) => Effect.Effect<void, Conflict | Forbidden | NotFound | Unavailable>
    /**
     * Takes the user's own reaction back. Fails with `NotFound` for a message that the user may not see, and `Forbidden`
     * when the other member of the DM has blocked the user. Removing a reaction that the user has not given succeeds
     * without an event.
     */
    readonly remove: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      emoji: Emoji
    ) => Effect.Effect<void, Forbidden | NotFound | Unavailable>
  }
>()("chat/services/Reactions") {
  /** The implementation on PostgreSQL. */
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
              { "no-message": noMessage, blocked, deleted, "too-many-reactions": tooManyReactions }
            )
          ),
        remove: (userId, conversationId, messageId, emoji) =>
          Effect.asVoid(
            change(
              conversationId,
              sql<Changed>`SELECT * FROM remove_reaction(${conversationId}::uuid, ${userId}::uuid, ${messageId}::uuid,
                ${emoji}::text)`,
              { "no-message": noMessage, blocked }
            )
          )
      })
    })
  )
}
