import { Clock, Duration, Effect } from "effect"
import type { InviteCode } from "../domain/Ids.ts"
import { makeChangesMemory } from "./ChangesMemory.ts"
import { keyReused } from "./ConversationRows.ts"
import { groupFull, noInvite, notAllowed } from "./GroupRules.ts"
import {
  type InviteRequest,
  type InviteRow,
  type InviteStorage,
  inviteCursor,
  toInvite,
  toInvites
} from "./InviteStorage.ts"
import type { Actor } from "./MemberStorage.ts"
import { livingOf, makeGroupsMemory } from "./MembersMemory.ts"
import { Memory } from "./Memory.ts"

interface Row extends InviteRow {
  readonly request: Pick<InviteRequest, "key" | "requestHash">
  readonly revoked: boolean
}

/** In `Memory`, beside the other tables. */
export const makeMemoryInvites = Effect.gen(function* () {
  const { conversations, users } = yield* Memory
  const { atomically } = yield* makeChangesMemory
  const { group, join } = yield* makeGroupsMemory
  const invites = new Map<InviteCode, Row>()

  const isOpen = ({ expiresAt, maxUses, revoked, uses }: Row, now: number) =>
    !revoked && (expiresAt === null || expiresAt.getTime() > now) && (maxUses === null || uses < maxUses)

  const leading = Effect.fnUntraced(function* (actor: Actor) {
    const { me } = yield* group(actor)
    if (me.role === "member") return yield* notAllowed
  })

  const storage: InviteStorage = {
    create: Effect.fnUntraced(function* (actor, { code, expiresInSeconds, key, maxUses, requestHash }) {
      yield* leading(actor)
      const now = yield* Clock.currentTimeMillis
      const known = [...invites.values()].find(
        ({ createdAt, createdBy, request }) =>
          key !== null &&
          request.key === key &&
          createdBy === actor.userId &&
          createdAt.getTime() >= now - Duration.toMillis("24 hours")
      )
      if (known !== undefined) {
        return Buffer.compare(known.request.requestHash, requestHash) === 0 ? toInvite(known) : yield* keyReused
      }
      const row: Row = {
        code,
        number: invites.size + 1,
        conversationId: actor.conversationId,
        createdBy: actor.userId,
        createdAt: new Date(now),
        expiresAt: expiresInSeconds === null ? null : new Date(now + expiresInSeconds * 1000),
        maxUses,
        uses: 0,
        request: { key, requestHash },
        revoked: false
      }
      invites.set(code, row)
      return toInvite(row)
    }, atomically),
    list: Effect.fnUntraced(function* (actor, page) {
      yield* leading(actor)
      const now = yield* Clock.currentTimeMillis
      const below = page.cursor === undefined ? Number.POSITIVE_INFINITY : yield* inviteCursor.decode(page.cursor)
      const rows = [...invites.values()]
        .filter((row) => row.conversationId === actor.conversationId && row.number < below && isOpen(row, now))
        .sort((a, b) => b.number - a.number)
      return toInvites(rows, page.limit)
    }),
    revoke: Effect.fnUntraced(function* (actor, code) {
      yield* leading(actor)
      const row = invites.get(code)
      if (row?.conversationId !== actor.conversationId) return yield* noInvite
      invites.set(code, { ...row, revoked: true })
    }, atomically),
    groupOf: (code) =>
      Effect.suspend(() => {
        const row = invites.get(code)
        return row === undefined ? Effect.fail(noInvite) : Effect.succeed(row.conversationId)
      }),
    accept: Effect.fnUntraced(function* (conversationId, userId, code, limit) {
      const row = invites.get(code)
      const conversation = conversations.get(conversationId)
      if (row === undefined || conversation === undefined || users.get(userId)?.deletedAt !== null) {
        return yield* noInvite
      }
      const me = conversation.members.get(userId)
      if (me?.leftSeq === null) return false
      const living = livingOf(conversation).length
      if (me?.removed || living === 0 || !isOpen(row, yield* Clock.currentTimeMillis)) return yield* noInvite
      if (living >= limit) return yield* groupFull
      invites.set(code, { ...row, uses: row.uses + 1 })
      yield* join(conversation, userId, [userId])
      return true
    }, atomically)
  }
  return storage
})
