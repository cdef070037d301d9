import { Context, type Effect } from "effect"
import type { ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import type { Forward, Message, MessageEdit, Revision, Sent } from "../../domain/Message.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../../domain/Problem.ts"
import type { HiddenChange } from "../../domain/Sync.ts"

/**
 * Changes of messages after they were sent. A message that the user may not see gives the same `NotFound` as one that
 * does not exist. A change that changes nothing succeeds without an event, so each call may be repeated.
 */
export class MessageChanges extends Context.Service<
  MessageChanges,
  {
    /**
     * Gives the user's own message another body, keeps the previous one as a revision, and answers with the message as it
     * is after that. Fails with `Forbidden` for a message of another user, after `limits.editWindow`, and when the other
     * member of the DM has blocked the user; `Conflict` for a deleted message ("message-deleted") and after 100 edits
     * ("too-many-edits"); `InvalidRequest` for a body that is too long, or empty in a message without a payload.
     */
    readonly edit: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      edit: MessageEdit
    ) => Effect.Effect<Message, InvalidRequest | Forbidden | Conflict | NotFound | Unavailable>
    /**
     * Deletes a message for everybody: a tombstone keeps its place, while body, revisions, excerpts, reactions and pin are
     * erased. Users may delete their own messages; in a group, owners may delete every message, and admins those of plain
     * members and former members. Others get `Forbidden`.
     */
    readonly delete: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId
    ) => Effect.Effect<void, Forbidden | NotFound | Unavailable>
    /**
     * Leaves a message out of the user's own lists: history, search, pins, `lastMessage`, and the counts. Reading it by
     * its id still gives it. The user's devices get `message.hidden`; other members are not notified.
     */
    readonly hide: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId
    ) => Effect.Effect<void, NotFound | Unavailable>
    /** The messages that the user has hidden after a user seq, the first one first, for a device that reconnects. */
    readonly hiddenAfter: (userId: UserId, userSeq: number) => Effect.Effect<ReadonlyArray<HiddenChange>, Unavailable>
    /**
     * Every body that a message has had, the current one first. The list of a deleted message is empty. Fails with
     * `InvalidRequest` for a bad limit or cursor.
     */
    readonly revisions: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      page: PageRequest
    ) => Effect.Effect<Page<Revision>, InvalidRequest | NotFound | Unavailable>
    /**
     * Sends a copy of a message to a conversation of the user, in the user's name. A retry with the same
     * `clientMessageId` answers with the first copy, also when the original has changed since. Fails with `NotFound` when
     * the user may not see the message or is not a member of the target, `Forbidden` when the other member of a target DM
     * has blocked the user, and `Conflict` for a deleted message ("message-deleted") or a `clientMessageId` that was used
     * for another message ("message-id-reused").
     */
    readonly forward: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      to: Forward
    ) => Effect.Effect<Sent, Forbidden | Conflict | NotFound | Unavailable>
  }
>()("chat/services/MessageChanges") {}
