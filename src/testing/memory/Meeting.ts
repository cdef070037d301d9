import { Clock, Effect } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import { blocked, contactsOnly, notForGuests, noUser } from "../../domain/Refusals.ts"
import { areApart, type UserRow } from "../../services/identity/Rows.ts"
import type { Memory } from "./State.ts"

/** How long nobody can add a user whose account is being closed, in milliseconds. */
const closingPeriod = 15 * 60_000

/** Whether both users are members of a conversation now. */
export const shareNow = (conversations: Memory["Service"]["conversations"], one: UserId, other: UserId) =>
  [...conversations.values()].some(({ members }) => [one, other].every((id) => members.get(id)?.leftSeq === null))

/** Whether both users are members of a conversation in which both have written. */
export const haveBothWritten = ({ conversations }: Memory["Service"], one: UserId, other: UserId) =>
  [...conversations.values()].some(({ log, members }) =>
    [one, other].every(
      (id) =>
        members.get(id)?.leftSeq === null &&
        log.some((entry) => entry.event === "message.created" && entry.senderId === id)
    )
  )

/** Whether the account of a user is being closed. */
export const isClosing = ({ closingAt }: UserRow, now: number) =>
  closingAt !== null && closingAt.getTime() >= now - closingPeriod

/** Fails when the user may not bring the others into a conversation. */
export const checkMayAdd = Effect.fnUntraced(function* (
  memory: Memory["Service"],
  userId: UserId,
  others: ReadonlyArray<UserId>
) {
  const now = yield* Clock.currentTimeMillis
  const found = others.map((id) => memory.users.get(id))
  const isOpen = (user: UserRow | undefined) => user?.deletedAt === null && !isClosing(user, now)
  if (!found.every(isOpen)) return yield* noUser
  if (others.some((id) => memory.blocks.get(id)?.has(userId))) return yield* blocked
  const isStranger = (user: UserRow | undefined) =>
    user?.whoMayAddMe === "contacts" && user.id !== userId && !haveBothWritten(memory, userId, user.id)
  if (found.some(isStranger)) return yield* contactsOnly
})

/** Fails when the user may not bring the others into a conversation by the own wish: `refusal_to_meet` in SQL. */
export const checkMayMeet = Effect.fnUntraced(function* (
  memory: Memory["Service"],
  userId: UserId,
  others: ReadonlyArray<UserId>
) {
  const { conversations, users } = memory
  const me = users.get(userId)
  if (me?.kind === "guest") return yield* notForGuests
  const isOutside = (id: UserId) => {
    const user = users.get(id)
    return user !== undefined && areApart(me, user) && !shareNow(conversations, userId, id)
  }
  if (others.some(isOutside)) return yield* noUser
  yield* checkMayAdd(memory, userId, others)
})
