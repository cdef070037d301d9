import { Context, type Effect } from "effect"
import type { Conversation, Kind, NewConversation, Role } from "../../domain/Conversation.ts"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../../domain/Problem.ts"

/** What a node must know about a membership to deliver the events of its conversation. `seq` is the head of the log. */
export interface MembershipState {
  readonly conversationId: ConversationId
  readonly seq: number
  readonly visibleFromSeq: number
  /** The user seq of the last change of the member's own state in the conversation. */
  readonly userSeq: number
  readonly lastActivityAt: Date
  /** False for the member of a DM without messages who has not opened it: the member does not get its events. */
  readonly shown: boolean
}

/** The position of a member in a conversation, which decides what the member may do there. */
export interface Standing {
  readonly kind: Kind
  readonly role: Role
  /** Whether it is a DM whose peer has blocked the member. */
  readonly blocked: boolean
  /** The last seq of the conversation's log. */
  readonly head: number
}

/** Conversations as their members see them. */
export class Conversations extends Context.Service<
  Conversations,
  {
    /**
     * Starts a conversation. There is one DM for each pair of users: creating it again succeeds with the existing one
     * and `created: false`. Until its first message, a DM shows only to the user who has opened it: the other user is
     * a member, and finds it with `get`, but in no list. Each call starts another group, unless it repeats an
     * `idempotencyKey` within 24 hours: then the same request answers with the same group, and another one is a
     * `Conflict` ("idempotency-key-reused"). It fails with `NotFound` when a user does not exist, with
     * `InvalidRequest` beyond the limits of the settings, and with `Forbidden` when a member of a new group has
     * blocked its creator, or when the peer of a DM that the user does not see yet has blocked the user. New
     * conversations count against `limits.conversations_per_minute` of the user, and the users in them as first
     * contacts; an answer with an existing conversation counts nothing.
     */
    readonly create: (
      userId: UserId,
      conversation: NewConversation,
      idempotencyKey?: string | undefined
    ) => Effect.Effect<
      { readonly conversation: Conversation; readonly created: boolean },
      InvalidRequest | NotFound | Forbidden | Conflict | RateLimited | Unavailable
    >
    /** Reads one conversation as the member sees it. `NotFound` for non-members and for an unknown conversation. */
    readonly get: (
      userId: UserId,
      conversationId: ConversationId
    ) => Effect.Effect<Conversation, NotFound | Unavailable>
    /** Reads those of the conversations that the user is a member of, in no particular order. */
    readonly getMany: (
      userId: UserId,
      conversationIds: ReadonlyArray<ConversationId>
    ) => Effect.Effect<ReadonlyArray<Conversation>, Unavailable>
    /**
     * Reads a page of the user's conversations, the latest activity first. `InvalidRequest` for a limit beyond the
     * setting and for a cursor of another list.
     */
    readonly list: (
      userId: UserId,
      page: PageRequest
    ) => Effect.Effect<Page<Conversation>, InvalidRequest | Unavailable>
    /** Reads the kind of a conversation and the member's role in it. `NotFound` for non-members. */
    readonly standing: (
      userId: UserId,
      conversationId: ConversationId
    ) => Effect.Effect<Standing, NotFound | Unavailable>
    /** Reads all memberships of a user with the heads of their logs, and the user's own head, in one snapshot. */
    readonly memberships: (
      userId: UserId
    ) => Effect.Effect<{ readonly userSeq: number; readonly memberships: ReadonlyArray<MembershipState> }, Unavailable>
    /**
     * Reads the user heads alone, of those users who have one. A head that has not moved since `memberships` was read says
     * that no membership of that user has changed.
     */
    readonly userHeads: (userIds: ReadonlyArray<UserId>) => Effect.Effect<ReadonlyMap<UserId, number>, Unavailable>
  }
>()("chat/services/Conversations") {}
