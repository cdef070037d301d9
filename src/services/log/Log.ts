import { Context, type Effect } from "effect"
import type { Event, EventPage } from "../../domain/Event.ts"
import type { ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import type { Message, MessagePage } from "../../domain/Message.ts"
import type { Conflict, Forbidden, NotFound, Unavailable } from "../../domain/Problem.ts"
import type { Appended, HistoryPlace, NewEntry } from "./Entry.ts"

/**
 * The append-only log of each conversation, numbered by `seq` 1, 2, 3, … without gaps. An acknowledged entry is
 * committed, and every committed entry is published on the conversation's subject, in the order of the log.
 */
export class Log extends Context.Service<
  Log,
  {
    /**
     * Appends a message under the next `seq`. Repeating it is safe: one (conversation, sender, clientMessageId) is
     * stored once, the same request again answers with the original, and another request under that id is a `Conflict`
     * ("message-id-reused"). It fails with `NotFound` when the sender is not a member, or when the reply target or the
     * thread root is not a message that the sender may see or an attachment is not the sender's or bound already, and with
     * `Forbidden` when the peer of a DM has blocked the sender. `Unavailable` does not tell whether the message was stored.
     */
    readonly append: (entry: NewEntry) => Effect.Effect<Appended, NotFound | Forbidden | Conflict | Unavailable>
    /** Answers as `append` would for a `clientMessageId` that was used before, and with null for a new one. */
    readonly known: (
      entry: Pick<NewEntry, "conversationId" | "senderId" | "clientMessageId" | "requestHash">
    ) => Effect.Effect<Appended | null, NotFound | Conflict | Unavailable>
    /**
     * Reads the log after the seq `after` as the member may see it, oldest first, together with the seq from which that
     * member sees the conversation. `NotFound` for non-members.
     */
    readonly events: (query: {
      readonly conversationId: ConversationId
      readonly userId: UserId
      readonly after: number
      readonly limit: number
    }) => Effect.Effect<EventPage & { readonly visibleFromSeq: number }, NotFound | Unavailable>
    /**
     * Reads the log from `after + 1` to `through` for a node that repairs a gap. It checks no membership, so the result
     * must not reach a client unfiltered.
     */
    readonly range: (
      conversationId: ConversationId,
      after: number,
      through: number
    ) => Effect.Effect<ReadonlyArray<Event>, Unavailable>
    /** Reads the last `seq` of each of the conversations; those that do not exist are absent from the map. */
    readonly heads: (
      conversationIds: ReadonlyArray<ConversationId>
    ) => Effect.Effect<ReadonlyMap<ConversationId, number>, Unavailable>
    /**
     * Reads a page of the history that the member may see, in ascending `seq`: without thread replies, with all of them,
     * or the replies to one thread root, which is named by its seq. `NotFound` for non-members.
     */
    readonly messages: (query: {
      readonly conversationId: ConversationId
      readonly userId: UserId
      readonly place: HistoryPlace
      readonly limit: number
      readonly replies?: "all" | { readonly to: number } | undefined
    }) => Effect.Effect<MessagePage, NotFound | Unavailable>
    /**
     * Reads one message as the member sees it. `NotFound` for non-members, for an unknown message, and for one from
     * before the member's history begins.
     */
    readonly message: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId
    ) => Effect.Effect<Message, NotFound | Unavailable>
  }
>()("chat/services/Log") {}
