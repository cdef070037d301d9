import { Context, Effect, Layer, Semaphore } from "effect"
import type { HistoryForNewMembers, Kind, Role } from "../domain/Conversation.ts"
import type { Event } from "../domain/Event.ts"
import type { ConversationId, MessageId, SessionId, UserId } from "../domain/Ids.ts"
import type { MessageType } from "../domain/Message.ts"
import type { Payload } from "../domain/Payload.ts"

/** A row of `users`. `emailKey` and `searchName` are the case-folded forms that are compared. */
export interface UserRow {
  readonly id: UserId
  readonly email: string
  readonly emailKey: string
  readonly username: string
  readonly displayName: string
  readonly searchName: string
  readonly avatarUrl: string | null
  readonly passwordHash: string
  readonly createdAt: Date
  readonly deletedAt: Date | null
}

/** A row of `sessions`; what the generations mean is told in RefreshTokens.ts. */
export interface SessionRow {
  readonly id: SessionId
  readonly userId: UserId
  readonly userAgent: string
  readonly ip: string
  readonly generation: number
  readonly previousGeneration: number
  readonly droppedGeneration: number
  readonly usedGeneration: number
  readonly rotatedAt: Date
  readonly createdAt: Date
  readonly lastUsedAt: Date
  readonly expiresAt: Date
  readonly endedAt: Date | null
}

/** A row of `conversation_members`. */
export interface MembershipRow {
  readonly userId: UserId
  readonly role: Role
  readonly joinedSeq: number
  readonly visibleFromSeq: number
  readonly leftSeq: number | null
  /** By another, who alone can let him in again. */
  readonly removed: boolean
  readonly joinedAt: Date
  readonly readSeq: number
  readonly deliveredSeq: number
  readonly mutedUntil: Date | null
  readonly archived: boolean
  readonly pinned: boolean
  readonly notify: "all" | "mentions" | "none"
  readonly userSeq: number
}

/** A row of `messages`, with what its other tables keep of it. Reactions are in the order of their first user. */
export interface LoggedMessage {
  readonly event: "message.created"
  readonly id: MessageId
  readonly seq: number
  readonly senderId: UserId
  readonly clientMessageId: string
  readonly requestHash: Uint8Array
  readonly type: MessageType
  readonly body: string
  readonly replySeq: number | null
  readonly createdAt: Date
  readonly editedAt: Date | null
  readonly deletedAt: Date | null
  readonly revision: number
  readonly changedSeq: number
  readonly pinnedAt: Date | null
  readonly reactions: ReadonlyArray<{ readonly emoji: string; readonly userIds: ReadonlyArray<UserId> }>
  readonly threadRootId: MessageId | null
  readonly threadRootSeq: number | null
  readonly threadPlace: number | null
  readonly threadReplyCount: number
  readonly mentions: ReadonlyArray<UserId> | null
  readonly payload: Payload | null
  /** Of a poll: who chose which options. */
  readonly ballots: ReadonlyMap<UserId, ReadonlyArray<number>>
  readonly revisions: ReadonlyArray<{ readonly revision: number; readonly body: string; readonly createdAt: Date }>
  readonly hiddenFor: ReadonlyArray<UserId>
}

/** A row of `thread_members`. */
export interface ThreadMemberRow {
  readonly readSeq: number
  readonly lastReplySeq: number | null
}

/** A row of `conversation_events`: what it carries of messages and users is read as it is now. */
export type LoggedEvent = Exclude<Event, { readonly event: "message.created" }>

/** A conversation with its head, its members and its log, in which `seq` n stands at n - 1. */
export interface StoredConversation {
  readonly id: ConversationId
  readonly kind: Kind
  readonly title: string | null
  readonly avatarUrl: string | null
  readonly createdBy: UserId
  readonly createdAt: Date
  readonly historyForNewMembers: HistoryForNewMembers
  readonly messageLifetimeSeconds: number | null
  /** Where in the log a lifetime was set: after `fromSeq`, up to `throughSeq`. */
  readonly lifetimes: ReadonlyArray<{
    readonly fromSeq: number
    readonly throughSeq: number | undefined
    readonly seconds: number
  }>
  readonly peers: readonly [UserId, UserId] | null
  readonly members: Map<UserId, MembershipRow>
  readonly log: Array<LoggedMessage | LoggedEvent>
  /** By the seq of the root. */
  readonly threads: Map<number, Map<UserId, ThreadMemberRow>>
  lastActivityAt: Date
}

/** As a transaction would: one after the other, and never cut short. */
const atomically = Effect.map(
  Semaphore.make(1),
  (turns) =>
    <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.uninterruptible(turns.withPermits(1)(effect))
)

/** The tables that the fakes of the services share, in place of a database. */
export class Memory extends Context.Service<
  Memory,
  {
    readonly users: Map<UserId, UserRow>
    readonly sessions: Map<SessionId, SessionRow>
    readonly conversations: Map<ConversationId, StoredConversation>
    readonly userHeads: Map<UserId, number>
    /** Whom users have blocked, and since when. */
    readonly blocks: Map<UserId, Map<UserId, Date>>
    /** By user and key. */
    readonly idempotencyKeys: Map<string, { readonly request: string; readonly id: ConversationId; readonly at: Date }>
    /** How every change of a conversation is made. */
    readonly atomically: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  }
>()("chat/services/Memory") {
  static readonly layer = Layer.effect(
    Memory,
    Effect.map(atomically, (atomically) => ({
      users: new Map(),
      sessions: new Map(),
      conversations: new Map(),
      userHeads: new Map(),
      blocks: new Map(),
      idempotencyKeys: new Map(),
      atomically
    }))
  )
}

/** Whether it is a DM whose other one has blocked the user. */
export const isBlocked = ({ blocks }: Memory["Service"], { peers }: StoredConversation, userId: UserId): boolean => {
  const peer = peers?.find((id) => id !== userId)
  return peer !== undefined && blocks.get(peer)?.has(userId) === true
}
