import { Clock, Effect, Layer } from "effect"
import { notAGuest, noUser } from "../../domain/Refusals.ts"
import { GuestStorage, Guests } from "../../services/conversations/Guests.ts"
import { taken } from "../../services/identity/UserStorage.ts"
import { isClosing } from "./Meeting.ts"
import { membershipsOf } from "./Members.ts"
import { closeAccount, makeLiving } from "./Sessions.ts"
import { checkInterval, Memory } from "./State.ts"

const makeStorage = Effect.map(Memory, (memory) => {
  const { atomically, conversations, guestChecks, users } = memory
  const living = makeLiving(memory)
  const guests = () => [...users.values()].filter(({ deletedAt, kind }) => kind === "guest" && deletedAt === null)

  return GuestStorage.of({
    claim: Effect.fnUntraced(function* (userId, { displayName, searchName, ...account }) {
      const guest = users.get(userId)
      if (guest?.deletedAt !== null || isClosing(guest, yield* Clock.currentTimeMillis)) return yield* noUser
      if (guest.kind !== "guest") return yield* notAGuest
      const others = [...users.values()].filter(({ id }) => id !== userId)
      if (others.some(({ emailKey }) => emailKey === account.emailKey)) return yield* taken("email-taken")
      if (others.some(({ username }) => username === account.username)) return yield* taken("username-taken")
      const names = { displayName: displayName ?? guest.displayName, searchName: searchName ?? guest.searchName }
      users.set(userId, { ...guest, ...account, ...names, kind: "person" })
      guestChecks.delete(userId)
      for (const { conversation, me } of membershipsOf(conversations, userId))
        conversation.members.set(userId, { ...me, guestUntil: null })
    }, atomically),
    leaving: (limit) =>
      Effect.map(Clock.currentTimeMillis, (now) =>
        guests()
          .flatMap(({ id }) => membershipsOf(conversations, id))
          .filter(({ me }) => me.guestUntil !== null && me.guestUntil.getTime() <= now)
          .slice(0, limit)
          .map(({ conversation, me }) => ({ conversationId: conversation.id, userId: me.userId }))
      ),
    expired: (now, idleSince, limit) =>
      Effect.map(Clock.currentTimeMillis, (millis) => {
        const due = [...guestChecks].filter(([, at]) => at <= millis).sort(([, one], [, other]) => one - other)
        const looked = due.slice(0, limit).flatMap(([id]) => users.get(id) ?? [])
        const expired = looked.filter(
          ({ id }) =>
            membershipsOf(conversations, id).every(({ conversation }) => conversation.kind === "dm") ||
            living.livingOf(id, now).every(({ lastUsedAt }) => lastUsedAt <= idleSince)
        )
        for (const { id } of looked) guestChecks.set(id, millis + checkInterval)
        for (const guest of expired) users.set(guest.id, { ...guest, closingAt: now })
        return { expired: expired.map(({ id }) => id), more: looked.length === limit }
      }),
    close: (userId, now) =>
      Effect.sync(() => {
        const guest = guests().find(({ id }) => id === userId)
        if (guest === undefined) return []
        const closing = closeAccount(memory, living, userId, guest.passwordHash, now)
        const closed = users.get(userId)
        if (closing.outcome !== "closed" || closed === undefined) return []
        users.set(userId, { ...closed, displayName: guest.displayName })
        guestChecks.delete(userId)
        return closing.ended
      })
  })
})

/** Guests in `Memory`. */
export const layerMemory = Guests.layerNoDeps.pipe(Layer.provide(Layer.effect(GuestStorage, makeStorage)))
