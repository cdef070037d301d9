import { Context, Effect, Layer } from "effect"
import type { Member, Role } from "../domain/Conversation.ts"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import {
  type Conflict,
  type Forbidden,
  type InvalidRequest,
  invalid,
  type NotFound,
  type RateLimited,
  type Unavailable
} from "../domain/Problem.ts"
import { changesOf, noMember, notAGroup, notAllowed } from "./GroupRules.ts"
import { Limits } from "./Limits.ts"
import type { MemberStorage } from "./MemberStorage.ts"
import { makeMemoryMembers } from "./MembersMemory.ts"
import { makeSqlMembers } from "./MembersSql.ts"
import { Settings } from "./Settings.ts"

type Refusal = NotFound | Forbidden | Conflict | Unavailable

/**
 * Who is in a group, and as what. Each change is an event of its log; one that changes nothing succeeds and is none. In
 * a DM everything here is a `Conflict` ("not-a-group"). Joining, removing and changing roles count against
 * `limits.member_changes_per_minute` of the group; leaving never does.
 */
export class Members extends Context.Service<
  Members,
  {
    /** For owners and admins. Who was there before stays as he is; `added` tells whether anybody was not. */
    readonly add: (
      userId: UserId,
      conversationId: ConversationId,
      userIds: ReadonlyArray<UserId>
    ) => Effect.Effect<
      { readonly items: ReadonlyArray<Member>; readonly added: boolean },
      InvalidRequest | RateLimited | Refusal
    >
    /** For owners. The last owner stays one: a `Conflict` ("last-owner"). */
    readonly update: (
      userId: UserId,
      conversationId: ConversationId,
      memberId: UserId,
      role: Role
    ) => Effect.Effect<Member, RateLimited | Refusal>
    /** For owners, and of members for admins. Of oneself it is leaving. */
    readonly remove: (
      userId: UserId,
      conversationId: ConversationId,
      memberId: UserId
    ) => Effect.Effect<void, RateLimited | Refusal>
    /** The last owner hands over to the admin, or else the member, who has been there longest. */
    readonly leave: (userId: UserId, conversationId: ConversationId) => Effect.Effect<void, Refusal>
    /** Leaves every group. */
    readonly leaveAll: (userId: UserId) => Effect.Effect<void, Unavailable>
  }
>()("chat/services/Members") {
  static readonly make = Effect.fnUntraced(function* (storage: MemberStorage) {
    const { limits } = yield* Settings
    const limiter = yield* Limits

    /**
     * Counts the changes before they are made, and gives back those that were none. Who may not make them is told so
     * first: nobody else can use up the changes of a group.
     */
    const counted = Effect.fnUntraced(function* <A, E>(
      actor: { readonly conversationId: ConversationId; readonly userId: UserId },
      times: number,
      change: Effect.Effect<A, E>,
      made: (result: A) => number
    ) {
      const { kind, role } = yield* storage.standing(actor)
      if (kind !== "group") return yield* notAGroup
      if (role === "member") return yield* notAllowed
      const counter = [changesOf(actor.conversationId), limits.memberChangesPerMinute, "1 minute"] as const
      yield* limiter.consume(...counter, times)
      const giveBack = (free: number) => (free > 0 ? limiter.giveBack(...counter, free) : Effect.void)
      return yield* change.pipe(
        Effect.onError(() => giveBack(times)),
        Effect.tap((result) => giveBack(times - made(result)))
      )
    })

    const leave = (userId: UserId, conversationId: ConversationId) =>
      Effect.asVoid(storage.remove({ conversationId, userId }, userId))

    return Members.of({
      add: Effect.fn("Members.add")(function* (userId, conversationId, userIds) {
        const ids = [...new Set(userIds)]
        const { groupMembers, membersPerRequest } = limits
        if (ids.length < 1 || userIds.length > membersPerRequest)
          return yield* invalid("userIds", `must name from 1 to ${membersPerRequest} users`)
        const actor = { conversationId, userId }
        const joined = yield* counted(
          actor,
          ids.length,
          storage.add(actor, ids, groupMembers),
          (joined) => joined.length
        )
        const members = new Map((yield* storage.find(conversationId, ids)).map((member) => [member.user.id, member]))
        return { items: ids.flatMap((id) => members.get(id) ?? []), added: joined.length > 0 }
      }),
      update: Effect.fn("Members.update")(function* (userId, conversationId, memberId, role) {
        const actor = { conversationId, userId }
        yield* counted(actor, 1, storage.changeRole(actor, memberId, role), Number)
        const [member] = yield* storage.find(conversationId, [memberId])
        return member ?? (yield* noMember)
      }),
      remove: Effect.fn("Members.remove")(function* (userId, conversationId, memberId) {
        if (userId === memberId) return yield* leave(userId, conversationId)
        const actor = { conversationId, userId }
        yield* counted(actor, 1, storage.remove(actor, memberId), Number)
      }),
      leave: Effect.fn("Members.leave")(leave),
      leaveAll: Effect.fn("Members.leaveAll")(function* (userId) {
        // One after the other, so that no two groups are ever locked together.
        yield* Effect.forEach(
          yield* storage.groupsOf(userId),
          (id) =>
            Effect.catchTags(leave(userId, id), {
              // Somebody else was quicker.
              NotFound: () => Effect.void,
              Forbidden: Effect.die,
              Conflict: Effect.die
            }),
          { discard: true }
        )
      })
    })
  })

  /** On PostgreSQL. */
  static readonly layer = Layer.effect(Members, Effect.flatMap(makeSqlMembers, Members.make))

  /** In `Memory`. */
  static readonly layerTest = Layer.effect(Members, Effect.flatMap(makeMemoryMembers, Members.make))
}
