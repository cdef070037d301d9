import { Clock, Effect, Layer } from "effect"
import type { ConversationId, InviteCode, UserId } from "../../domain/Ids.ts"
import { groupFull, idempotencyKeyReused, noInvite, notAllowed } from "../../domain/Refusals.ts"
import {
  type InviteRequest,
  type InviteRow,
  InviteStorage,
  inviteCursor,
  toInvite,
  toInvites
} from "../../services/conversations/InviteStorage.ts"
import { Invites } from "../../services/conversations/Invites.ts"
import type { Actor } from "../../services/conversations/MemberStorage.ts"
import { makeChangesMemory } from "./Changes.ts"
import { currentMembers, makeGroupsMemory } from "./Members.ts"
import { checkInterval, idempotencyWindow, Memory } from "./State.ts"
import { insertUser } from "./Users.ts"

interface Row extends InviteRow {
  readonly request: Pick<InviteRequest, "key" | "requestHash">
  readonly revoked: boolean
}

const isOpen = ({ expiresAt, maxUses, revoked, uses }: Row, now: number) =>
  !revoked && (expiresAt === null || expiresAt.getTime() > now) && (maxUses === null || uses < maxUses)

const checkAfter = (at: Date) => at.getTime() + checkInterval

/** Makes the function that uses an invite, for a user who may be a member already. */
const makeAccept = Effect.fnUntraced(function* (invites: Map<InviteCode, Row>) {
  const { conversations, users } = yield* Memory
  const { join } = yield* makeGroupsMemory

  return Effect.fnUntraced(function* (userId: UserId, conversationId: ConversationId, code: InviteCode, limit: number) {
    const row = invites.get(code)
    const conversation = conversations.get(conversationId)
    if (row === undefined || conversation === undefined || users.get(userId)?.deletedAt !== null) {
      return yield* noInvite
    }
    const me = conversation.members.get(userId)
    if (me?.leftSeq === null) return false
    const memberCount = currentMembers(conversation).length
    const isGuest = users.get(userId)?.kind === "guest"
    if (me?.removed || (isGuest && !row.guests) || memberCount === 0 || !isOpen(row, yield* Clock.currentTimeMillis))
      return yield* noInvite
    if (memberCount >= limit) return yield* groupFull
    invites.set(code, { ...row, uses: row.uses + 1 })
    yield* join(conversation, userId, [userId])
    const joined = conversation.members.get(userId)
    if (isGuest && joined !== undefined) conversation.members.set(userId, { ...joined, guestUntil: row.expiresAt })
    return true
  })
})

/** The team of the user who has made an invite. */
const teamOf = (users: Memory["Service"]["users"], row: Row | undefined) =>
  (row === undefined ? undefined : users.get(row.createdBy)?.team) ?? null

const makeStorage = Effect.gen(function* () {
  const { guestChecks, users } = yield* Memory
  const { atomically } = yield* makeChangesMemory
  const { group } = yield* makeGroupsMemory
  const invites = new Map<InviteCode, Row>()
  const accept = yield* makeAccept(invites)

  /** Permits owners and admins of a group. */
  const checkLeader = Effect.fnUntraced(function* (actor: Actor) {
    const { me } = yield* group(actor)
    if (me.role === "member") return yield* notAllowed
  })

  return InviteStorage.of({
    create: Effect.fnUntraced(function* (actor, { code, expiresInSeconds, guests, key, maxUses, requestHash }) {
      yield* checkLeader(actor)
      const now = yield* Clock.currentTimeMillis
      const known = [...invites.values()].find(
        ({ createdAt, createdBy, request }) =>
          key !== null &&
          request.key === key &&
          createdBy === actor.userId &&
          createdAt.getTime() >= now - idempotencyWindow
      )
      if (known !== undefined) {
        return Buffer.compare(known.request.requestHash, requestHash) === 0
          ? toInvite(known)
          : yield* idempotencyKeyReused
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
        guests,
        request: { key, requestHash },
        revoked: false
      }
      invites.set(code, row)
      return toInvite(row)
    }, atomically),
    list: Effect.fnUntraced(function* (conversationId, page) {
      const now = yield* Clock.currentTimeMillis
      const below = page.cursor === undefined ? Number.POSITIVE_INFINITY : yield* inviteCursor.decode(page.cursor)
      const rows = [...invites.values()]
        .filter((row) => row.conversationId === conversationId && row.number < below && isOpen(row, now))
        .sort((a, b) => b.number - a.number)
      return toInvites(rows, page.limit)
    }),
    revoke: Effect.fnUntraced(function* (actor, code) {
      yield* checkLeader(actor)
      const row = invites.get(code)
      if (row?.conversationId !== actor.conversationId) return yield* noInvite
      invites.set(code, { ...row, revoked: true })
    }, atomically),
    groupOf: (code) =>
      Effect.suspend(() => {
        const row = invites.get(code)
        return row === undefined ? Effect.fail(noInvite) : Effect.succeed(row.conversationId)
      }),
    accept: (...request) => atomically(accept(...request)),
    register: (user, ...request) =>
      // A guest has the team of the user who has made the invite.
      insertUser(users, user.kind === "guest" ? { ...user, team: teamOf(users, invites.get(request[1])) } : user).pipe(
        Effect.andThen(accept(user.id, ...request)),
        Effect.tap(Effect.sync(() => user.kind === "guest" && guestChecks.set(user.id, checkAfter(user.createdAt)))),
        Effect.onError(() =>
          Effect.sync(() => users.get(user.id)?.createdAt === user.createdAt && users.delete(user.id))
        ),
        Effect.asVoid,
        atomically
      )
  })
})

/** Invites in `Memory`. */
export const layerMemory = Invites.layerNoDeps.pipe(Layer.provide(Layer.effect(InviteStorage, makeStorage)))
