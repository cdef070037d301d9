import { Context, Effect, Layer } from "effect"
import type { Member, Role } from "../../domain/Conversation.ts"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import {
  type Conflict,
  type Forbidden,
  type InvalidRequest,
  invalid,
  type NotFound,
  type RateLimited,
  type Unavailable
} from "../../domain/Problem.ts"
import { guestRole, noMember } from "../../domain/Refusals.ts"
import { Limits } from "../platform/Limits.ts"
import { checkLimit } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import { changesOf, checkLeader } from "./ConversationRules.ts"
import { Conversations } from "./Conversations.ts"
import { FirstContacts } from "./FirstContacts.ts"
import { type Actor, MemberStorage } from "./MemberStorage.ts"

type Refusal = NotFound | Forbidden | Conflict | Unavailable

/**
 * The number of changes that a change of one role, or a removal, has made. The storage says whether it changed
 * anything.
 */
const madeOne = (changed: boolean) => (changed ? 1 : 0)

/**
 * The members of groups and their roles. Each change is an event of the group's log; a change that alters nothing
 * succeeds without an event, so repeating it is safe. All changes fail with `NotFound` for non-members, and in a DM with
 * a `Conflict` ("not-a-group"). Joining, removing and changing roles count against
 * `limits.member_changes_per_minute` of the group; leaving never does. Adding counts first contacts too.
 */
export class Members extends Context.Service<
  Members,
  {
    /**
     * Adds users to a group, for owners and admins. Users who are members already keep their membership; `added` is
     * false when all are. It fails with `InvalidRequest` for no or too many users, with `NotFound` for an unknown user,
     * with `Forbidden` when one of them has blocked the caller, and with a `Conflict` ("group-full") without enough room.
     */
    readonly add: (
      userId: UserId,
      conversationId: ConversationId,
      userIds: ReadonlyArray<UserId>
    ) => Effect.Effect<
      { readonly items: ReadonlyArray<Member>; readonly added: boolean },
      InvalidRequest | RateLimited | Refusal
    >
    /**
     * Reads a page of the members of any conversation, in the order in which they joined. `NotFound` for non-members,
     * `InvalidRequest` for a limit beyond the setting and for a cursor of another list.
     */
    readonly list: (
      userId: UserId,
      conversationId: ConversationId,
      page: PageRequest
    ) => Effect.Effect<Page<Member>, InvalidRequest | NotFound | Unavailable>
    /**
     * Changes a member's role, for owners. The last owner cannot become another role: a `Conflict` ("last-owner"). Neither
     * can a guest ("guest").
     */
    readonly update: (
      userId: UserId,
      conversationId: ConversationId,
      memberId: UserId,
      role: Role
    ) => Effect.Effect<Member, RateLimited | Refusal>
    /** Removes a member: owners may remove anybody, admins only plain members. Removing oneself is leaving. */
    readonly remove: (
      userId: UserId,
      conversationId: ConversationId,
      memberId: UserId
    ) => Effect.Effect<void, RateLimited | Refusal>
    /**
     * Leaves a group. The last owner's role passes to the longest-serving admin or, without one, to such a member who is no
     * guest.
     */
    readonly leave: (userId: UserId, conversationId: ConversationId) => Effect.Effect<void, Refusal>
    /** Does the same, unless another member has removed the user meanwhile. */
    readonly leaveIfMember: (userId: UserId, conversationId: ConversationId) => Effect.Effect<void, Unavailable>
    /** Leaves every group. After a failure some groups may be left, and repeating it leaves the others. */
    readonly leaveAll: (userId: UserId) => Effect.Effect<void, Unavailable>
  }
>()("chat/services/Members") {
  /** The rules, on any storage. */
  static readonly layerNoDeps = Layer.effect(
    Members,
    Effect.gen(function* () {
      const { limits } = yield* Settings
      const storage = yield* MemberStorage
      const contacts = yield* FirstContacts
      const counted = yield* makeCounted

      const leave = (userId: UserId, conversationId: ConversationId) =>
        Effect.asVoid(storage.remove({ userId, conversationId }, userId))

      const leaveIfMember = (userId: UserId, conversationId: ConversationId) =>
        Effect.catchTags(leave(userId, conversationId), {
          NotFound: () => Effect.void,
          Forbidden: Effect.die,
          Conflict: Effect.die
        })

      return Members.of({
        add: Effect.fn("Members.add")(function* (userId, conversationId, userIds) {
          const ids = [...new Set(userIds)]
          const { groupMembers, membersPerRequest } = limits
          if (ids.length < 1 || userIds.length > membersPerRequest)
            return yield* invalid("userIds", `must name from 1 to ${membersPerRequest} users`)
          const actor = { userId, conversationId }
          const adding = contacts.counted(
            userId,
            ids,
            "group",
            storage.add(actor, ids, groupMembers),
            (joined) => joined
          )
          const joined = yield* counted(actor, ids.length, adding, (joined) => joined.length)
          const members = new Map((yield* storage.find(conversationId, ids)).map((member) => [member.user.id, member]))
          return { items: ids.flatMap((id) => members.get(id) ?? []), added: joined.length > 0 }
        }),
        list: Effect.fn("Members.list")(function* (userId, conversationId, page) {
          yield* checkLimit(page, limits.pageSize)
          return yield* storage.list({ userId, conversationId }, page)
        }),
        update: Effect.fn("Members.update")(function* (userId, conversationId, memberId, role) {
          const actor = { userId, conversationId }
          const change = Effect.gen(function* () {
            // A guest may become a person meanwhile, but nobody becomes a guest.
            const [member] = role === "member" ? [] : yield* storage.find(conversationId, [memberId])
            if (member?.user.kind === "guest") return yield* guestRole
            return yield* storage.changeRole(actor, memberId, role)
          })
          yield* counted(actor, 1, change, madeOne)
          const [member] = yield* storage.find(conversationId, [memberId])
          return member ?? (yield* noMember)
        }),
        remove: Effect.fn("Members.remove")(function* (userId, conversationId, memberId) {
          if (userId === memberId) return yield* leave(userId, conversationId)
          const actor = { userId, conversationId }
          yield* counted(actor, 1, storage.remove(actor, memberId), madeOne)
        }),
        leave: Effect.fn("Members.leave")(leave),
        leaveIfMember,
        leaveAll: Effect.fn("Members.leaveAll")(function* (userId) {
          // One after the other, so that no two groups are ever locked together.
          yield* Effect.forEach(yield* storage.groupsOf(userId), (id) => leaveIfMember(userId, id), { discard: true })
        })
      })
    })
  )
}

/**
 * Makes `counted`, which counts changes of a group before they are made, and gives back those that altered nothing. It
 * refuses callers without the right to make them first, so that nobody else can use up the changes of a group.
 */
const makeCounted = Effect.gen(function* () {
  const conversations = yield* Conversations
  const { limits } = yield* Settings
  const limiter = yield* Limits
  return Effect.fnUntraced(function* <A, E>(
    { conversationId, userId }: Actor,
    times: number,
    change: Effect.Effect<A, E>,
    made: (result: A) => number
  ) {
    yield* checkLeader(yield* conversations.standing(userId, conversationId))
    return yield* limiter.counted([{ counter: changesOf(conversationId, limits), times, used: made }], change)
  })
})
