import { Context, type Effect } from "effect"
import type { ReadMark, Unread } from "../../domain/Conversation.ts"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import type { NotFound, Unavailable } from "../../domain/Problem.ts"

/**
 * How far members have read and received their conversations. In a conversation of more than 100 members, a marker is
 * published to the member's own devices alone, or not at all.
 */
export class ReadMarkers extends Context.Service<
  ReadMarkers,
  {
    /**
     * Moves the read marker forward; a seq past the head means the head. With `force` it may move back. It succeeds
     * after the commit, and publishes `read.marked` when the marker has moved. Repeating it is safe. `NotFound` for
     * non-members.
     */
    readonly markRead: (
      userId: UserId,
      conversationId: ConversationId,
      mark: ReadMark
    ) => Effect.Effect<void, NotFound | Unavailable>
    /**
     * Moves the delivered marker forward; messages that were read were delivered. It succeeds after the commit, and
     * publishes `delivered.marked` when the marker has moved. Repeating it is safe. `NotFound` for non-members.
     */
    readonly markDelivered: (
      userId: UserId,
      conversationId: ConversationId,
      seq: number
    ) => Effect.Effect<void, NotFound | Unavailable>
    /** Counts unread messages and mentions over all conversations, each conversation up to the cap. */
    readonly unread: (userId: UserId) => Effect.Effect<Unread, Unavailable>
  }
>()("chat/services/ReadMarkers") {}
