import { Clock, Effect } from "effect"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import { makeChangesMemory } from "./ChangesMemory.ts"
import { noUser, toMember } from "./ConversationRows.ts"
import { blocked } from "./ConversationRules.ts"
import { groupFull, lastOwner, noMember, notAGroup, notAllowed } from "./GroupRules.ts"
import { membership } from "./LogMemory.ts"
import type { Actor, MemberStorage } from "./MemberStorage.ts"
import { makeMembershipSignals } from "./MembershipSignals.ts"
import { type MembershipRow, Memory, type StoredConversation } from "./Memory.ts"
import { toUser } from "./Users.ts"

/** Who are members now. */
export const livingOf = ({ members }: StoredConversation): ReadonlyArray<MembershipRow> =>
  [...members.values()].filter(({ leftSeq }) => leftSeq === null)

/** What the changes of a group have in common, in `Memory`: each to be run `atomically`. */
export const makeGroupsMemory = Effect.gen(function* () {
  const { conversations, users } = yield* Memory
  const { addEvent, nextUserSeq } = yield* makeChangesMemory
  const tell = yield* makeMembershipSignals

  /** The actor's place in the group, and no place in a DM. */
  const group = Effect.fnUntraced(function* ({ conversationId, userId }: Actor) {
    const mine = yield* membership(conversations, conversationId, userId)
    return mine.conversation.kind === "group" ? mine : yield* notAGroup
  })

  const join = Effect.fnUntraced(function* (
    conversation: StoredConversation,
    actorId: UserId,
    userIds: ReadonlyArray<UserId>
  ) {
    for (const userId of userIds) {
      const user = users.get(userId)
      if (user?.deletedAt !== null) return yield* noUser
      const data = { user: toUser(user), role: "member" } as const
      const joinedSeq = yield* addEvent(conversation, { event: "member.joined", actorId, data })
      const visibleFromSeq = conversation.historyForNewMembers === "all" ? 1 : joinedSeq
      conversation.members.set(userId, {
        userId,
        role: "member",
        joinedSeq,
        visibleFromSeq,
        leftSeq: null,
        removed: false,
        joinedAt: new Date(yield* Clock.currentTimeMillis),
        readSeq: visibleFromSeq - 1,
        deliveredSeq: visibleFromSeq - 1,
        mutedUntil: null,
        archived: false,
        pinned: false,
        notify: "all",
        userSeq: nextUserSeq(userId)
      })
    }
    yield* tell(conversation.id, userIds)
  })

  return { group, join, tell }
})

/** In `Memory`. */
export const makeMemoryMembers = Effect.gen(function* () {
  const { blocks, conversations, users } = yield* Memory
  const { addEvent, atomically, nextUserSeq } = yield* makeChangesMemory
  const { group, join, tell } = yield* makeGroupsMemory

  const isLastOwner = (conversation: StoredConversation, userId: UserId) =>
    livingOf(conversation).every((member) => member.userId === userId || member.role !== "owner")

  const heirOf = (conversation: StoredConversation, userId: UserId) =>
    livingOf(conversation)
      .filter((member) => member.userId !== userId)
      .sort(
        (a, b) =>
          Number(a.role === "member") - Number(b.role === "member") ||
          a.joinedSeq - b.joinedSeq ||
          (a.userId < b.userId ? -1 : 1)
      )[0]

  const setRole = Effect.fnUntraced(function* (
    conversation: StoredConversation,
    actorId: UserId,
    member: MembershipRow,
    role: MembershipRow["role"]
  ) {
    conversation.members.set(member.userId, { ...member, role })
    const data = { userId: member.userId, role }
    yield* addEvent(conversation, { event: "member.role-changed", actorId, data })
  })

  const storage: MemberStorage = {
    standing: ({ conversationId, userId }) =>
      Effect.map(membership(conversations, conversationId, userId), ({ conversation: { kind }, me: { role } }) => ({
        kind,
        role
      })),
    add: Effect.fnUntraced(function* (actor, userIds, limit) {
      const { conversation, me } = yield* group(actor)
      if (me.role === "member") return yield* notAllowed
      const fresh = userIds.filter((id) => conversation.members.get(id)?.leftSeq !== null)
      if (!fresh.every((id) => users.get(id)?.deletedAt === null)) return yield* noUser
      if (fresh.some((id) => blocks.get(id)?.has(actor.userId))) return yield* blocked
      if (fresh.length > 0 && livingOf(conversation).length + fresh.length > limit) return yield* groupFull
      yield* join(conversation, actor.userId, fresh)
      return fresh
    }, atomically),
    remove: Effect.fnUntraced(function* (actor, userId) {
      const { conversation, me } = yield* group(actor)
      const leaves = actor.userId === userId
      if (me.role === "member" && !leaves) return yield* notAllowed
      const member = conversation.members.get(userId)
      if (member === undefined) return yield* noMember
      if (member.leftSeq !== null) return false
      if (me.role === "admin" && member.role !== "member" && !leaves) return yield* notAllowed
      const heir = isLastOwner(conversation, userId) ? heirOf(conversation, userId) : undefined
      if (member.role === "owner" && heir !== undefined) yield* setRole(conversation, actor.userId, heir, "owner")
      const data = { userId, removed: !leaves }
      const leftSeq = yield* addEvent(conversation, { event: "member.left", actorId: actor.userId, data })
      conversation.members.set(userId, { ...member, leftSeq, removed: !leaves, userSeq: nextUserSeq(userId) })
      yield* tell(conversation.id, [userId])
      return true
    }, atomically),
    changeRole: Effect.fnUntraced(function* (actor, userId, role) {
      const { conversation, me } = yield* group(actor)
      if (me.role !== "owner") return yield* notAllowed
      const member = conversation.members.get(userId)
      if (member?.leftSeq !== null) return yield* noMember
      if (member.role === role) return false
      if (member.role === "owner" && isLastOwner(conversation, userId)) return yield* lastOwner
      yield* setRole(conversation, actor.userId, member, role)
      return true
    }, atomically),
    find: (conversationId, userIds) =>
      Effect.sync(() =>
        userIds.flatMap((id) => {
          const member = conversations.get(conversationId)?.members.get(id)
          const user = users.get(id)
          return member?.leftSeq !== null || user === undefined
            ? []
            : [toMember({ ...user, ...member, deliveredSeq: Math.max(member.deliveredSeq, member.readSeq) })]
        })
      ),
    groupsOf: (userId) =>
      Effect.sync(
        (): ReadonlyArray<ConversationId> =>
          [...conversations.values()]
            .filter(({ kind, members }) => kind === "group" && members.get(userId)?.leftSeq === null)
            .map(({ id }) => id)
      )
  }
  return storage
})
