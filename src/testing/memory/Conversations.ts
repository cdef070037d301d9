import { randomUUIDv7 } from "node:crypto"
import { Clock, Effect, Layer } from "effect"
import type { NewConversation } from "../../domain/Conversation.ts"
import { ConversationId, type UserId } from "../../domain/Ids.ts"
import { blocked, idempotencyKeyReused } from "../../domain/Refusals.ts"
import { makeMembershipSignals } from "../../services/bus/MembershipSignals.ts"
import {
  type ConversationRow,
  listCursor,
  type MembershipRow,
  toConversation
} from "../../services/conversations/ConversationRows.ts"
import { Conversations } from "../../services/conversations/Conversations.ts"
import { counted } from "../../services/conversations/FirstContacts.ts"
import { checkLimit, pageOf } from "../../services/platform/Paging.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { makeChangesMemory } from "./Changes.ts"
import * as FirstContacts from "./FirstContacts.ts"
import { historyOf, membership, rowOf } from "./Log.ts"
import { checkMayMeet } from "./Meeting.ts"
import { currentMembers, deliveredOf, type Mine, membershipsOf, newMembership } from "./Members.ts"
import { mentionsOf, unreadOf } from "./ReadMarkers.ts"
import { idempotencyWindow, isBlocked, Memory, type StoredConversation, showDirect } from "./State.ts"

type Service = Conversations["Service"]
type Position = { readonly at: number; readonly id: string }

const positionOf = ({ conversation: { id, lastActivityAt } }: Mine): Position => ({ at: lastActivityAt.getTime(), id })

const latestFirst = (a: Position, b: Position) => b.at - a.at || Number(a.id < b.id) - Number(a.id > b.id)

const toRow = ({ users }: Memory["Service"], mine: Mine): ConversationRow => {
  const { conversation, me } = mine
  const { log, peers, ...columns } = conversation
  const peer = peers === null ? undefined : users.get(peers[0] === me.userId ? peers[1] : peers[0])
  return {
    ...me,
    ...columns,
    deliveredSeq: deliveredOf(me),
    seq: log.length,
    memberCount: currentMembers(conversation).length,
    unreadCount: unreadOf(mine),
    mentionCount: mentionsOf(mine),
    peerId: peer?.id ?? null,
    peerUsername: peer?.username ?? "",
    peerDisplayName: peer?.displayName ?? "",
    peerAvatarUrl: peer?.avatarUrl ?? null,
    peerCreatedAt: peer?.createdAt ?? conversation.createdAt,
    peerKind: peer?.kind ?? "person"
  }
}

/** Reads of conversations as their members see them, and of memberships. */
const makeReads = Effect.gen(function* () {
  const memory = yield* Memory
  const { conversations, userHeads } = memory
  const { limits } = yield* Settings

  const show = (mine: Mine) => {
    const last = historyOf(mine.conversation, mine.me).findLast((one) => one.threadRootSeq === null)
    return toConversation(toRow(memory, mine), last && rowOf(mine.conversation, last, mine.me.userId))
  }

  const get: Service["get"] = (userId, conversationId) =>
    Effect.map(membership(conversations, userId, conversationId), show)

  const getMany: Service["getMany"] = (userId, ids) =>
    Effect.sync(() =>
      membershipsOf(conversations, userId)
        .filter(({ conversation }) => ids.includes(conversation.id))
        .map(show)
    )

  const list: Service["list"] = Effect.fnUntraced(function* (userId, page) {
    yield* checkLimit(page, limits.pageSize)
    const after = page.cursor === undefined ? undefined : yield* listCursor.decode(page.cursor)
    const rows = membershipsOf(conversations, userId)
      .filter(({ me }) => me.shown)
      .sort((a, b) => latestFirst(positionOf(a), positionOf(b)))
      .filter((mine) => after === undefined || latestFirst(after, positionOf(mine)) < 0)
    return pageOf(rows, page.limit, rows.slice(0, page.limit).map(show), (last) => listCursor.at(toRow(memory, last)))
  })

  const standing: Service["standing"] = (userId, conversationId) =>
    Effect.map(membership(conversations, userId, conversationId), ({ conversation, me }) => ({
      kind: conversation.kind,
      role: me.role,
      blocked: isBlocked(memory, conversation, userId),
      head: conversation.log.length
    }))

  const memberships: Service["memberships"] = (userId) =>
    Effect.sync(() => ({
      userSeq: userHeads.get(userId) ?? 0,
      memberships: membershipsOf(conversations, userId).map(({ conversation: { id, lastActivityAt, log }, me }) => ({
        conversationId: id,
        seq: log.length,
        visibleFromSeq: me.visibleFromSeq,
        userSeq: me.userSeq,
        lastActivityAt,
        shown: me.shown
      }))
    }))

  const headsOf: Service["userHeads"] = (userIds) =>
    Effect.sync(
      () => new Map(userIds.flatMap((id) => (userHeads.has(id) ? [[id, userHeads.get(id) ?? 0] as const] : [])))
    )

  return { get, getMany, list, memberships, standing, userHeads: headsOf }
})

/** Makes the start of a new conversation with the members, whose first event creates it. */
export const makeStart = Effect.gen(function* () {
  const { conversations } = yield* Memory
  const { nextUserSeq } = yield* makeChangesMemory
  return Effect.fnUntraced(function* (
    conversation: Pick<StoredConversation, "kind" | "title" | "avatarUrl" | "createdBy" | "peers">,
    memberIds: ReadonlyArray<UserId>
  ) {
    const now = new Date(yield* Clock.currentTimeMillis)
    const { createdBy: actorId, kind, title } = conversation
    const id = ConversationId.make(randomUUIDv7())
    const empty = kind === "dm" && memberIds.length > 1
    const member = (userId: UserId): MembershipRow => {
      const shown = !empty || userId === actorId
      const seqs = { joinedSeq: 1, visibleFromSeq: 1, userSeq: shown ? nextUserSeq(userId) : 0 }
      return { ...newMembership(userId, kind === "group" && userId === actorId ? "owner" : "member", now, seqs), shown }
    }
    conversations.set(id, {
      ...conversation,
      id,
      createdAt: now,
      historyForNewMembers: "from-join",
      messageLifetimeSeconds: null,
      lifetimes: [],
      members: new Map(memberIds.map((id) => [id, member(id)])),
      log: [
        {
          event: "conversation.created",
          conversationId: id,
          seq: 1,
          at: now.toISOString(),
          actorId,
          data: { kind, title, memberCount: memberIds.length }
        }
      ],
      threads: new Map(),
      lastActivityAt: now,
      empty
    })
    return id
  })
})

/** Makes the creation of a conversation, which finds the existing DM, and the group that the same key has created. */
const makeCreate = Effect.fnUntraced(function* (get: Service["get"]) {
  const memory = yield* Memory
  const { blocks, conversations, idempotencyKeys } = memory
  const start = yield* makeStart
  const signal = yield* makeMembershipSignals

  const findDm = (memberIds: ReadonlyArray<UserId>) => {
    const pair = memberIds.toSorted().join()
    return [...conversations.values()].find(({ peers }) => peers && [...new Set(peers)].sort().join() === pair)
  }

  const keyOf = (userId: UserId, idempotencyKey: string | undefined) => `${userId} ${idempotencyKey}`

  /** The request that the key stands for. */
  const findByKey = Effect.fnUntraced(function* (key: string) {
    const found = idempotencyKeys.get(key)
    return found !== undefined && found.at.getTime() >= (yield* Clock.currentTimeMillis) - idempotencyWindow
      ? found
      : undefined
  })

  const createDm = Effect.fnUntraced(function* (userId: UserId, memberIds: ReadonlyArray<UserId>) {
    const found = findDm(memberIds)
    if (found?.members.get(userId)?.shown) return { id: found.id, created: false, seenBy: [] }
    if (found !== undefined) {
      if (memberIds.some((id) => blocks.get(id)?.has(userId))) return yield* blocked
      showDirect(memory, found)
      return { id: found.id, created: false, seenBy: [userId] }
    }
    yield* checkMayMeet(
      memory,
      userId,
      memberIds.filter((id) => id !== userId)
    )
    const peers = [userId, memberIds[1] ?? userId] as const
    const id = yield* start({ kind: "dm", title: null, avatarUrl: null, createdBy: userId, peers }, memberIds)
    return { id, created: true, seenBy: [userId] }
  })

  const createGroup = Effect.fnUntraced(function* (
    userId: UserId,
    group: Extract<NewConversation, { readonly kind: "group" }>,
    memberIds: ReadonlyArray<UserId>,
    idempotencyKey: string | undefined
  ) {
    const key = keyOf(userId, idempotencyKey)
    const request = JSON.stringify(group)
    const found = yield* findByKey(key)
    if (found !== undefined && found.request !== request) return yield* idempotencyKeyReused
    if (found !== undefined) return { id: found.id, created: false, seenBy: [] }
    yield* checkMayMeet(memory, userId, memberIds)
    const { avatarUrl = null, kind, title } = group
    const id = yield* start({ kind, title, avatarUrl, createdBy: userId, peers: null }, memberIds)
    if (idempotencyKey !== undefined) {
      idempotencyKeys.set(key, { request, id, at: new Date(yield* Clock.currentTimeMillis) })
    }
    return { id, created: true, seenBy: memberIds }
  })

  const isKnown = Effect.fnUntraced(function* (...request: Parameters<Service["create"]>) {
    const [userId, conversation, idempotencyKey] = request
    if (conversation.kind === "dm") return findDm([...new Set([userId, conversation.userId])]) !== undefined
    return (yield* findByKey(keyOf(userId, idempotencyKey))) !== undefined
  })

  const create: Service["create"] = Effect.fnUntraced(function* (userId, conversation, idempotencyKey) {
    const others = conversation.kind === "dm" ? [conversation.userId] : conversation.memberIds
    const memberIds = [...new Set([userId, ...others])]
    const { created, id, seenBy } = yield* conversation.kind === "dm"
      ? createDm(userId, memberIds)
      : createGroup(userId, conversation, memberIds, idempotencyKey)
    yield* signal(id, seenBy)
    return { conversation: yield* get(userId, id), created }
  })
  return { create, isKnown }
})

/** Conversations in `Memory`. */
export const layerMemory = Layer.effect(
  Conversations,
  Effect.gen(function* () {
    const reads = yield* makeReads
    const { create, isKnown } = yield* makeCreate(reads.get)
    return yield* counted({ ...reads, create }, isKnown)
  })
).pipe(Layer.provide(FirstContacts.layerMemory))
