import { randomUUIDv7 } from "node:crypto"
import { Clock, Duration, Effect } from "effect"
import { unreadCap } from "../domain/Conversation.ts"
import { ConversationId, type UserId } from "../domain/Ids.ts"
import { everybody } from "../domain/Mentions.ts"
import { makeChangesMemory } from "./ChangesMemory.ts"
import {
  type ConversationRow,
  keyReused,
  listCursor,
  type MemberRow,
  memberCursor,
  noUser,
  pageOf,
  toConversation,
  toMember
} from "./ConversationRows.ts"
import { blocked, checkNewGroup } from "./ConversationRules.ts"
import type { Conversations } from "./Conversations.ts"
import { historyOf, membership, rowOf } from "./LogMemory.ts"
import { isBlocked, type MembershipRow, Memory, type StoredConversation } from "./Memory.ts"
import { checkLimit } from "./Paging.ts"
import { conversationSubject, encodeEphemeral, membershipChanged, PubSub, userSubject } from "./PubSub.ts"
import { Settings } from "./Settings.ts"

type Mine = { readonly conversation: StoredConversation; readonly me: MembershipRow }

const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

/** What was read was delivered. */
const deliveredOf = (member: MembershipRow) => Math.max(member.deliveredSeq, member.readSeq)

/** Conversations in `Memory`. */
export const makeConversationsMemory = Effect.gen(function* () {
  const memory = yield* Memory
  const { blocks, conversations, idempotencyKeys, userHeads, users } = memory
  const pubsub = yield* PubSub
  const { limits } = yield* Settings
  const { nextUserSeq } = yield* makeChangesMemory

  const memberOf = (userId: UserId): Array<Mine> =>
    Array.from(conversations.values()).flatMap((conversation) => {
      const me = conversation.members.get(userId)
      return me?.leftSeq === null ? [{ conversation, me }] : []
    })

  const members = ({ members }: StoredConversation) =>
    Array.from(members.values()).filter((member) => member.leftSeq === null)

  const isSmall = (conversation: StoredConversation) => members(conversation).length <= 100

  const unreadOf = ({ conversation, me }: Mine) =>
    Math.min(
      historyOf(conversation, me).filter(
        ({ deletedAt, senderId, seq, threadRootSeq }) =>
          seq > me.readSeq && senderId !== me.userId && deletedAt === null && threadRootSeq === null
      ).length,
      unreadCap
    )

  const mentionsOf = ({ conversation, me }: Mine) =>
    Math.min(
      historyOf(conversation, me).filter(({ deletedAt, mentions, senderId, seq, threadRootSeq }) => {
        const readSeq =
          threadRootSeq === null ? me.readSeq : (conversation.threads.get(threadRootSeq)?.get(me.userId)?.readSeq ?? 0)
        const forMe = mentions?.includes(me.userId) === true || mentions?.includes(everybody) === true
        return forMe && seq > readSeq && senderId !== me.userId && deletedAt === null
      }).length,
      unreadCap
    )

  const toRow = ({ conversation, me }: Mine): ConversationRow => {
    const { log, peers, ...columns } = conversation
    const peer = peers === null ? undefined : users.get(peers[0] === me.userId ? peers[1] : peers[0])
    return {
      ...me,
      ...columns,
      deliveredSeq: deliveredOf(me),
      seq: log.length,
      memberCount: members(conversation).length,
      unreadCount: unreadOf({ conversation, me }),
      mentionCount: mentionsOf({ conversation, me }),
      peerId: peer?.id ?? null,
      peerUsername: peer?.username ?? "",
      peerDisplayName: peer?.displayName ?? "",
      peerAvatarUrl: peer?.avatarUrl ?? null,
      peerCreatedAt: peer?.createdAt ?? conversation.createdAt
    }
  }

  const show = (mine: Mine) => {
    const last = historyOf(mine.conversation, mine.me).findLast((one) => one.threadRootSeq === null)
    return toConversation(toRow(mine), last && rowOf(mine.conversation, last, mine.me.userId))
  }

  const start = (
    conversation: Pick<StoredConversation, "kind" | "title" | "avatarUrl" | "createdBy" | "peers">,
    memberIds: ReadonlyArray<UserId>
  ) =>
    Effect.map(Clock.currentTimeMillis, (millis) => {
      const now = new Date(millis)
      const { createdBy: actorId, kind, title } = conversation
      const id = ConversationId.make(randomUUIDv7())
      const member = (userId: UserId): MembershipRow => ({
        userId,
        role: kind === "group" && userId === actorId ? "owner" : "member",
        joinedSeq: 1,
        visibleFromSeq: 1,
        leftSeq: null,
        removed: false,
        joinedAt: now,
        readSeq: 0,
        deliveredSeq: 0,
        mutedUntil: null,
        archived: false,
        pinned: false,
        notify: "all",
        userSeq: nextUserSeq(userId)
      })
      conversations.set(id, {
        ...conversation,
        id,
        createdAt: now,
        historyForNewMembers: "from-join",
        messageLifetimeSeconds: null,
        lifetimes: [],
        members: new Map(memberIds.map((userId) => [userId, member(userId)])),
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
        lastActivityAt: now
      })
      return { id, created: true }
    })

  const get: Conversations["Service"]["get"] = (userId, conversationId) =>
    Effect.map(membership(conversations, conversationId, userId), show)

  const service: Conversations["Service"] = {
    create: Effect.fnUntraced(function* (userId, conversation, idempotencyKey) {
      const group = conversation.kind === "group" ? conversation : undefined
      const memberIds = [
        ...new Set([userId, ...(conversation.kind === "dm" ? [conversation.userId] : conversation.memberIds)])
      ]
      if (group !== undefined) yield* checkNewGroup(group, memberIds.length, limits)
      const now = yield* Clock.currentTimeMillis
      const pair = group === undefined ? memberIds.toSorted().join() : undefined
      const dm = Array.from(conversations.values()).find(
        ({ peers }) => peers && [...new Set(peers)].sort().join() === pair
      )
      const key = `${userId} ${idempotencyKey}`
      const request = JSON.stringify(conversation)
      const known = group === undefined || idempotencyKey === undefined ? undefined : idempotencyKeys.get(key)
      const kept = known && known.at.getTime() >= now - Duration.toMillis("24 hours") ? known : undefined
      if (dm === undefined && !memberIds.every((id) => users.get(id)?.deletedAt === null)) return yield* noUser
      if (kept !== undefined && kept.request !== request) return yield* keyReused
      const found = dm?.id ?? kept?.id
      if (found === undefined && group !== undefined && memberIds.some((id) => blocks.get(id)?.has(userId)))
        return yield* blocked
      const { created, id } =
        found !== undefined
          ? { id: found, created: false }
          : yield* start(
              {
                kind: conversation.kind,
                title: group?.title ?? null,
                avatarUrl: group?.avatarUrl ?? null,
                createdBy: userId,
                peers: group === undefined ? [userId, memberIds[1] ?? userId] : null
              },
              memberIds
            )
      if (created && idempotencyKey !== undefined) idempotencyKeys.set(key, { request, id, at: new Date(now) })
      if (created) {
        yield* Effect.forEach(memberIds, (member) => pubsub.publish(userSubject(member), [membershipChanged(id)]))
      }
      return { conversation: yield* get(userId, id), created }
    }),
    get,
    getMany: (userId, ids) =>
      Effect.sync(() =>
        memberOf(userId)
          .filter(({ conversation }) => ids.includes(conversation.id))
          .map(show)
      ),
    list: Effect.fnUntraced(function* (userId, page) {
      yield* checkLimit(page, limits.pageSize)
      const after = page.cursor === undefined ? undefined : yield* listCursor.decode(page.cursor)
      const older = (a: { at: number; id: string }, b: { at: number; id: string }) => b.at - a.at || byText(b.id, a.id)
      const place = ({ conversation: { id, lastActivityAt } }: Mine) => ({ at: lastActivityAt.getTime(), id })
      const rows = memberOf(userId)
        .sort((a, b) => older(place(a), place(b)))
        .filter((mine) => after === undefined || older(after, place(mine)) < 0)
      return pageOf(rows, page.limit, rows.slice(0, page.limit).map(show), (last) => listCursor.at(toRow(last)))
    }),
    members: Effect.fnUntraced(function* (userId, conversationId, page) {
      yield* checkLimit(page, limits.pageSize)
      const after = page.cursor === undefined ? undefined : yield* memberCursor.decode(page.cursor)
      const { conversation } = yield* membership(conversations, conversationId, userId)
      const inOrder = (a: { joinedSeq: number; id: string }, b: { joinedSeq: number; id: string }) =>
        a.joinedSeq - b.joinedSeq || byText(a.id, b.id)
      const rows = members(conversation)
        .flatMap((member): Array<MemberRow> => {
          const user = users.get(member.userId)
          return user === undefined ? [] : [{ ...user, ...member, deliveredSeq: deliveredOf(member) }]
        })
        .filter((row) => after === undefined || inOrder(row, after) > 0)
        .sort(inOrder)
      return pageOf(rows, page.limit, rows.slice(0, page.limit).map(toMember), memberCursor.at)
    }),
    places: (userId) =>
      Effect.sync(() => ({
        userSeq: userHeads.get(userId) ?? 0,
        places: memberOf(userId).map(({ conversation: { id, lastActivityAt, log }, me }) => ({
          conversationId: id,
          seq: log.length,
          visibleFromSeq: me.visibleFromSeq,
          userSeq: me.userSeq,
          lastActivityAt
        }))
      })),
    userHeads: (userIds) =>
      Effect.sync(
        () => new Map(userIds.flatMap((id) => (userHeads.has(id) ? [[id, userHeads.get(id) ?? 0] as const] : [])))
      ),
    markRead: Effect.fnUntraced(function* (userId, conversationId, { force = false, seq }) {
      const { conversation, me } = yield* membership(conversations, conversationId, userId)
      const upTo = Math.min(seq, conversation.log.length)
      const readSeq = Math.max(upTo, force ? me.visibleFromSeq - 1 : me.readSeq)
      if (readSeq === me.readSeq) return
      const deliveredSeq = Math.max(deliveredOf(me), readSeq)
      conversation.members.set(userId, { ...me, readSeq, deliveredSeq, userSeq: nextUserSeq(userId) })
      yield* pubsub.publish(isSmall(conversation) ? conversationSubject(conversationId) : userSubject(userId), [
        encodeEphemeral({ event: "read.marked", conversationId, data: { userId, seq: readSeq } }, { refers: readSeq })
      ])
    }),
    markDelivered: Effect.fnUntraced(function* (userId, conversationId, seq) {
      const { conversation, me } = yield* membership(conversations, conversationId, userId)
      const deliveredSeq = Math.min(seq, conversation.log.length)
      if (deliveredSeq <= deliveredOf(me)) return
      conversation.members.set(userId, { ...me, deliveredSeq })
      if (!isSmall(conversation)) return
      yield* pubsub.publish(conversationSubject(conversationId), [
        encodeEphemeral(
          { event: "delivered.marked", conversationId, data: { userId, seq: deliveredSeq } },
          { refers: deliveredSeq }
        )
      ])
    }),
    unread: (userId) =>
      Effect.sync(() => ({
        unreadCount: memberOf(userId).reduce((sum, mine) => sum + unreadOf(mine), 0),
        mentionCount: memberOf(userId).reduce((sum, mine) => sum + mentionsOf(mine), 0)
      })),
    typing: Effect.fnUntraced(function* (userId, conversationId, event) {
      const { conversation } = yield* membership(conversations, conversationId, userId)
      if (isBlocked(memory, conversation, userId)) return
      yield* pubsub.publish(conversationSubject(conversationId), [
        encodeEphemeral(
          { event, conversationId, data: { userId } },
          { except: userId, refers: conversation.log.length }
        )
      ])
    })
  }
  return service
})
