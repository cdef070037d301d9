import { Context, type Effect } from "effect"
import type { Member, Role } from "../../domain/Conversation.ts"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../../domain/Problem.ts"

/** The member in whose name a change of a conversation is made. */
export interface Actor {
  readonly userId: UserId
  readonly conversationId: ConversationId
}

type Change<A> = Effect.Effect<A, NotFound | Forbidden | Conflict | Unavailable>

/**
 * Changes the members of groups, each time in one transaction and under the lock of the conversation's head. The nodes
 * of users who join or leave get a signal; the events are published.
 */
export class MemberStorage extends Context.Service<
  MemberStorage,
  {
    /** Adds users and succeeds with those of them who were not members before. */
    readonly add: (actor: Actor, userIds: ReadonlyArray<UserId>, limit: number) => Change<ReadonlyArray<UserId>>
    /** Removes a member, or lets the actor leave. Answers false when that user had left before. */
    readonly remove: (actor: Actor, userId: UserId) => Change<boolean>
    /** Changes the role of a member. Answers false when the member had that role before. */
    readonly changeRole: (actor: Actor, userId: UserId, role: Role) => Change<boolean>
    /** A page of the members in the order in which they joined. */
    readonly list: (
      actor: Actor,
      page: PageRequest
    ) => Effect.Effect<Page<Member>, InvalidRequest | NotFound | Unavailable>
    /** Those of the users who are members, in no particular order. */
    readonly find: (
      conversationId: ConversationId,
      userIds: ReadonlyArray<UserId>
    ) => Effect.Effect<ReadonlyArray<Member>, Unavailable>
    /** The groups that the user is a member of. */
    readonly groupsOf: (userId: UserId) => Effect.Effect<ReadonlyArray<ConversationId>, Unavailable>
  }
>()("chat/services/MemberStorage") {}
