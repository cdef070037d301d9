import type { Effect } from "effect"
import type { Kind, Member, Role } from "../domain/Conversation.ts"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { Conflict, Forbidden, NotFound, Unavailable } from "../domain/Problem.ts"

/** In whose name a change is made, and where. */
export interface Actor {
  readonly conversationId: ConversationId
  readonly userId: UserId
}

type Change<A, E = never> = Effect.Effect<A, E | NotFound | Forbidden | Conflict | Unavailable>

/**
 * How the members of groups change: each in one transaction, under the lock of the conversation's head. Whoever joins or
 * leaves is told on his own subject; the events are published.
 */
export interface MemberStorage {
  /** What the user is there; `NotFound` when he is no member. */
  readonly standing: (
    actor: Actor
  ) => Effect.Effect<{ readonly kind: Kind; readonly role: Role }, NotFound | Unavailable>
  /** Gives those who were no members before. */
  readonly add: (actor: Actor, userIds: ReadonlyArray<UserId>, limit: number) => Change<ReadonlyArray<UserId>>
  /** Also for the actor himself, who leaves. False when that one had gone before. */
  readonly remove: (actor: Actor, userId: UserId) => Change<boolean>
  /** False when that was the role already. */
  readonly changeRole: (actor: Actor, userId: UserId, role: Role) => Change<boolean>
  /** Those of the users who are members, in no particular order. */
  readonly find: (
    conversationId: ConversationId,
    userIds: ReadonlyArray<UserId>
  ) => Effect.Effect<ReadonlyArray<Member>, Unavailable>
  /** The groups that the user is a member of. */
  readonly groupsOf: (userId: UserId) => Effect.Effect<ReadonlyArray<ConversationId>, Unavailable>
}
