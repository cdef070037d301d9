import { Context, Effect, Layer } from "effect"
import type { ConversationId, MessageId, UserId } from "../domain/Ids.ts"
import type { Forward, Message, MessageEdit, Revision, Sent } from "../domain/Message.ts"
import type { Page, PageRequest } from "../domain/Page.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { makeMessageChangesMemory } from "./MessageChangesMemory.ts"
import { makeMessageChangesSql } from "./MessageChangesSql.ts"

type Change<A, E> = (
  userId: UserId,
  conversationId: ConversationId,
  messageId: MessageId
) => Effect.Effect<A, E | NotFound | Unavailable>

/**
 * What becomes of a message after it was sent. A message that one may not see is the same `NotFound` as one that does
 * not exist; a change that changes nothing succeeds without an event.
 */
export class MessageChanges extends Context.Service<
  MessageChanges,
  {
    /**
     * Gives one's own message another body and keeps the one before as a revision. `Forbidden` for others' and after
     * `limits.editWindow`, `Conflict` ("message-deleted") when it is gone. Answers with the message as it is then.
     */
    readonly edit: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      edit: MessageEdit
    ) => Effect.Effect<Message, InvalidRequest | Forbidden | Conflict | NotFound | Unavailable>
    /**
     * Deletes a message for everybody: a tombstone keeps its place, and body, revisions, excerpts, reactions and pin are
     * gone. One's own; in a group an owner everybody's, an admin those of whom is neither owner nor admin.
     */
    readonly remove: Change<void, Forbidden>
    /**
     * Leaves a message out of one's own lists: history, search, pins, `lastMessage` and what is counted. By its id it is
     * there as before. Nobody else hears of it.
     */
    readonly hide: Change<void, never>
    /** Everything that a message has said, the present first. None when it is deleted. */
    readonly revisions: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      page: PageRequest
    ) => Effect.Effect<Page<Revision>, InvalidRequest | NotFound | Unavailable>
    /**
     * Sends a copy of a message that one may see to a conversation that one is a member of, as one's own. A retry with
     * the same `clientMessageId` gives back the copy, whatever has become of the original.
     */
    readonly forward: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      to: Forward
    ) => Effect.Effect<Sent, Forbidden | Conflict | NotFound | Unavailable>
  }
>()("chat/services/MessageChanges") {
  /** On PostgreSQL. */
  static readonly layer = Layer.effect(MessageChanges, Effect.map(makeMessageChangesSql, MessageChanges.of))

  /** In `Memory`. */
  static readonly layerTest = Layer.effect(MessageChanges, Effect.map(makeMessageChangesMemory, MessageChanges.of))
}
