import { Clock, Effect, Layer } from "effect"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import { groupFull, lastOwner, noMember, notAGroup, notAllowed, noUser } from "../../domain/Refusals.ts"
import { makeMembershipSignals } from "../../services/bus/MembershipSignals.ts"
import {
  type MemberRow,
  type MembershipRow,
  memberCursor,
  toMember
} from "../../services/conversations/ConversationRows.ts"
import { type Actor, MemberStorage } from "../../services/conversations/MemberStorage.ts"
import { Members } from "../../services/conversations/Members.ts"
import { toUser } from "../../services/identity/Users.ts"
import { pageOf } from "../../services/platform/Paging.ts"
import { makeChangesMemory } from "./Changes.ts"
import * as FirstContacts from "./FirstContacts.ts"
import { membership } from "./Log.ts"
import { checkMayMeet } from "./Meeting.ts"
import { Memory, type StoredConversation } from "./State.ts"

type Storage = MemberStorage["Service"]

/** The members of a conversation, without those who have left. */
export const currentMembers = ({ members }: StoredConversation): ReadonlyArray<MembershipRow> =>
  [...members.values()].filter(({ leftSeq }) => leftSeq === null)

/** A conversation and a user's membership in it. */
export interface Mine {
  readonly conversation: StoredConversation
  readonly me: MembershipRow
}

/** The conversations that the user is a member of. */
export const membershipsOf = (conversations: Memory["Service"]["conversations"], userId: UserId): Array<Mine> =>
  Array.from(conversations.values()).flatMap((conversation) => {
    const me = conversation.members.get(userId)
    return me?.leftSeq === null ? [{ conversation, me }] : []
  })

/** The seq up to which a member has received messages: a message that was read was delivered. */
export const deliveredOf = (member: MembershipRow) => Math.max(member.deliveredSeq, member.readSeq)

/** A new membership, without anything read or received yet. */
export const newMembership = (
  userId: UserId,
  role: MembershipRow["role"],
  joinedAt: Date,
  seqs: Pick<MembershipRow, "joinedSeq" | "visibleFromSeq" | "userSeq">
): MembershipRow => ({
  ...seqs,
  userId,
  role,
  leftSeq: null,
  removed: false,
  joinedAt,
  readSeq: seqs.visibleFromSeq - 1,
  deliveredSeq: seqs.visibleFromSeq - 1,
  mutedUntil: null,
  archived: false,
  pinned: false,
  notify: "all",
  shown: true,
  guestUntil: null
})

const isLastOwner = (conversation: StoredConversation, userId: UserId) =>
  currentMembers(conversation).every((member) => member.userId === userId || member.role !== "owner")

/** The longest-serving admin other than the user, or without one the longest-serving member who is no guest. */
const heirOf = (users: Memory["Service"]["users"], conversation: StoredConversation, userId: UserId) =>
  currentMembers(conversation)
    .filter((member) => member.userId !== userId && users.get(member.userId)?.kind !== "guest")
    .sort(
      (a, b) =>
        Number(a.role === "member") - Number(b.role === "member") ||
        a.joinedSeq - b.joinedSeq ||
        (a.userId < b.userId ? -1 : 1)
    )[0]

/** The parts of changes of a group in memory. Each change is to be run `atomically`, as a transaction is. */
export const makeGroupsMemory = Effect.gen(function* () {
  const { conversations, guestChecks, users } = yield* Memory
  const { addEvent, nextUserSeq } = yield* makeChangesMemory
  const signal = yield* makeMembershipSignals

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

  /** Removes a member, or lets the actor leave; the heir of the last owner becomes the owner. */
  const part = Effect.fnUntraced(function* (conversation: StoredConversation, actorId: UserId, member: MembershipRow) {
    const { userId } = member
    const heir = isLastOwner(conversation, userId) ? heirOf(users, conversation, userId) : undefined
    if (member.role === "owner" && heir !== undefined) yield* setRole(conversation, actorId, heir, "owner")
    const data = { userId, removed: actorId !== userId }
    const { seq: leftSeq } = yield* addEvent(conversation, { event: "member.left", actorId, data })
    conversation.members.set(userId, { ...member, ...data, leftSeq, userSeq: nextUserSeq(userId) })
    if (guestChecks.has(userId)) guestChecks.set(userId, yield* Clock.currentTimeMillis)
    yield* signal(conversation.id, [userId])
  })

  /** The group and the actor's membership in it. A DM is refused. */
  const group = Effect.fnUntraced(function* ({ conversationId, userId }: Actor) {
    const mine = yield* membership(conversations, userId, conversationId)
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
      const { seq: joinedSeq } = yield* addEvent(conversation, { event: "member.joined", actorId, data })
      const visibleFromSeq = conversation.historyForNewMembers === "all" ? 1 : joinedSeq
      const joinedAt = new Date(yield* Clock.currentTimeMillis)
      const seqs = { joinedSeq, visibleFromSeq, userSeq: nextUserSeq(userId) }
      conversation.members.set(userId, newMembership(userId, "member", joinedAt, seqs))
    }
    yield* signal(conversation.id, userIds)
  })

  return { group, join, part, setRole, signal }
})

const makeChangesOfMembers = Effect.gen(function* () {
  const memory = yield* Memory
  const { atomically } = yield* makeChangesMemory
  const { group, join, part, setRole } = yield* makeGroupsMemory

  const add: Storage["add"] = Effect.fnUntraced(function* (actor, userIds, limit) {
    const { conversation, me } = yield* group(actor)
    if (me.role === "member") return yield* notAllowed
    const fresh = userIds.filter((id) => conversation.members.get(id)?.leftSeq !== null)
    yield* checkMayMeet(memory, actor.userId, fresh)
    if (fresh.length > 0 && currentMembers(conversation).length + fresh.length > limit) return yield* groupFull
    yield* join(conversation, actor.userId, fresh)
    return fresh
  }, atomically)

  const remove: Storage["remove"] = Effect.fnUntraced(function* (actor, userId) {
    const { conversation, me } = yield* group(actor)
    const leaves = actor.userId === userId
    if (me.role === "member" && !leaves) return yield* notAllowed
    const member = conversation.members.get(userId)
    if (member === undefined) return yield* noMember
    if (member.leftSeq !== null) return false
    if (me.role === "admin" && member.role !== "member" && !leaves) return yield* notAllowed
    yield* part(conversation, actor.userId, member)
    return true
  }, atomically)

  const changeRole: Storage["changeRole"] = Effect.fnUntraced(function* (actor, userId, role) {
    const { conversation, me } = yield* group(actor)
    if (me.role !== "owner") return yield* notAllowed
    const member = conversation.members.get(userId)
    if (member?.leftSeq !== null) return yield* noMember
    if (member.role === role) return false
    if (member.role === "owner" && isLastOwner(conversation, userId)) return yield* lastOwner
    yield* setRole(conversation, actor.userId, member, role)
    return true
  }, atomically)

  return { add, remove, changeRole }
})

const inOrder = (a: { joinedSeq: number; id: string }, b: { joinedSeq: number; id: string }) =>
  a.joinedSeq - b.joinedSeq || Number(a.id > b.id) - Number(a.id < b.id)

const makeReads = Effect.map(Memory, ({ conversations, users }) => {
  const rowsOf = (members: ReadonlyArray<MembershipRow>) =>
    members.flatMap((member): Array<MemberRow> => {
      const user = users.get(member.userId)
      return user === undefined ? [] : [{ ...user, ...member, deliveredSeq: deliveredOf(member) }]
    })

  const list: Storage["list"] = Effect.fnUntraced(function* ({ conversationId, userId }, page) {
    const after = page.cursor === undefined ? undefined : yield* memberCursor.decode(page.cursor)
    const { conversation } = yield* membership(conversations, userId, conversationId)
    const rows = rowsOf(currentMembers(conversation))
      .filter((row) => after === undefined || inOrder(row, after) > 0)
      .sort(inOrder)
    return pageOf(rows, page.limit, rows.slice(0, page.limit).map(toMember), memberCursor.at)
  })

  const find: Storage["find"] = (conversationId, userIds) =>
    Effect.sync(() => {
      const conversation = conversations.get(conversationId)
      const members = conversation === undefined ? [] : currentMembers(conversation)
      return rowsOf(members.filter(({ userId }) => userIds.includes(userId))).map(toMember)
    })

  const groupsOf: Storage["groupsOf"] = (userId) =>
    Effect.sync(() =>
      membershipsOf(conversations, userId).flatMap(
        ({ conversation: { id, kind } }): Array<ConversationId> => (kind === "group" ? [id] : [])
      )
    )

  return { find, groupsOf, list }
})

const storage = Layer.effect(
  MemberStorage,
  Effect.gen(function* () {
    return MemberStorage.of({ ...(yield* makeReads), ...(yield* makeChangesOfMembers) })
  })
)

/** Members in `Memory`. */
export const layerMemory = Members.layerNoDeps.pipe(Layer.provide([storage, FirstContacts.layerMemory]))
