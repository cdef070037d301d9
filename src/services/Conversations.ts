import { Context, Effect, Layer } from "effect"
import type { Conversation, Member, NewConversation, ReadMark, Unread } from "../domain/Conversation.ts"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { Page, PageRequest } from "../domain/Page.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { makeConversationsMemory } from "./ConversationsMemory.ts"
import { makeConversationsSql } from "./ConversationsSql.ts"
import { conversationsCreated } from "./MetricDefinitions.ts"
import { Metrics } from "./Metrics.ts"

/** What a gateway must know of a membership to serve its events. `seq` is the head of the log. */
export interface Place {
  readonly conversationId: ConversationId
  readonly seq: number
  readonly visibleFromSeq: number
  /** The user seq of the last change of my own state in it. */
  readonly userSeq: number
  readonly lastActivityAt: Date
}

/** Counts the conversations that are made. */
const counted = (conversations: Conversations["Service"]) =>
  Effect.map(Metrics, (metrics) => {
    const counts = {
      dm: metrics.counter(conversationsCreated, { kind: "dm" }),
      group: metrics.counter(conversationsCreated, { kind: "group" })
    }
    return Conversations.of({
      ...conversations,
      create: (...request) =>
        Effect.tap(conversations.create(...request), ({ conversation, created }) =>
          Effect.sync(() => created && counts[conversation.kind]())
        )
    })
  })

/** Conversations, their members and each member's own state in them. */
export class Conversations extends Context.Service<
  Conversations,
  {
    /**
     * Starts a conversation. There is one DM per pair, for ever: asked for again it is given back with
     * `created: false`. A group is made anew each time, but once for an `idempotencyKey` within 24 hours; nobody can be
     * made a member of it who has blocked its creator.
     */
    readonly create: (
      userId: UserId,
      conversation: NewConversation,
      idempotencyKey?: string | undefined
    ) => Effect.Effect<
      { readonly conversation: Conversation; readonly created: boolean },
      InvalidRequest | NotFound | Forbidden | Conflict | Unavailable
    >
    readonly get: (
      userId: UserId,
      conversationId: ConversationId
    ) => Effect.Effect<Conversation, NotFound | Unavailable>
    /** Those of the given conversations that the user is a member of, in no particular order. */
    readonly getMany: (
      userId: UserId,
      conversationIds: ReadonlyArray<ConversationId>
    ) => Effect.Effect<ReadonlyArray<Conversation>, Unavailable>
    /** Mine, latest activity first. */
    readonly list: (
      userId: UserId,
      page: PageRequest
    ) => Effect.Effect<Page<Conversation>, InvalidRequest | Unavailable>
    /** In the order in which they joined. */
    readonly members: (
      userId: UserId,
      conversationId: ConversationId,
      page: PageRequest
    ) => Effect.Effect<Page<Member>, InvalidRequest | NotFound | Unavailable>
    /** All memberships with the heads of their logs, and the user's own head, as of one moment. */
    readonly places: (
      userId: UserId
    ) => Effect.Effect<{ readonly userSeq: number; readonly places: ReadonlyArray<Place> }, Unavailable>
    /** The user heads alone, of those users who have one: whether `places` is worth asking again. */
    readonly userHeads: (userIds: ReadonlyArray<UserId>) => Effect.Effect<ReadonlyMap<UserId, number>, Unavailable>
    /**
     * Moves the read marker forward; a mark past the head is the head. With `force` it may move back. Answers after
     * the commit and tells the members with `read.marked`, unless nothing moved; in a conversation of more than 100
     * members only the user's own devices.
     */
    readonly markRead: (
      userId: UserId,
      conversationId: ConversationId,
      mark: ReadMark
    ) => Effect.Effect<void, NotFound | Unavailable>
    /**
     * Moves the delivered marker forward; what is read is delivered. Answers after the commit and tells the members with
     * `delivered.marked`, unless nothing moved or they are more than 100.
     */
    readonly markDelivered: (
      userId: UserId,
      conversationId: ConversationId,
      seq: number
    ) => Effect.Effect<void, NotFound | Unavailable>
    /** Unread messages and mentions over all conversations, each conversation counted up to its cap. */
    readonly unread: (userId: UserId) => Effect.Effect<Unread, Unavailable>
    /** Tells the other members, and only them, that the user types or no longer does; nobody who has blocked him. */
    readonly typing: (
      userId: UserId,
      conversationId: ConversationId,
      event: "typing.started" | "typing.stopped"
    ) => Effect.Effect<void, NotFound | Unavailable>
  }
>()("chat/services/Conversations") {
  /** On PostgreSQL. */
  static readonly layer = Layer.effect(Conversations, Effect.flatMap(makeConversationsSql, counted))

  /** In `Memory`. */
  static readonly layerTest = Layer.effect(Conversations, Effect.flatMap(makeConversationsMemory, counted))
}
