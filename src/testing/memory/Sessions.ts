import { DateTime, Effect, Layer } from "effect"
import type { SessionId, UserId } from "../../domain/Ids.ts"
import { isGood } from "../../services/identity/RefreshTokens.ts"
import type { SessionRow } from "../../services/identity/Rows.ts"
import { type Closing, SessionStorage } from "../../services/identity/SessionStorage.ts"
import { Sessions } from "../../services/identity/Sessions.ts"
import { makeUseExternal } from "./ExternalIdentities.ts"
import { dropAttachments, Memory, revokeBotTokens } from "./State.ts"

type Part<Name extends keyof SessionStorage["Service"]> = Pick<SessionStorage["Service"], Name>

/** Makes what all parts need: whether a user or a session lives, and how sessions end. */
export const makeLiving = ({ identities, sessions, users }: Memory["Service"]) => {
  const userOf = (id: UserId) => {
    const user = users.get(id)
    return user?.deletedAt === null ? user : undefined
  }
  const living = (id: SessionId, now: Date) => {
    const session = sessions.get(id)
    return session?.endedAt === null && session.expiresAt > now && userOf(session.userId) ? session : undefined
  }
  const livingOf = (userId: UserId, now: Date) =>
    Array.from(sessions.values()).filter((session) => session.userId === userId && living(session.id, now))
  const endAll = (ended: ReadonlyArray<SessionRow>, now: Date) =>
    ended.map((session) => {
      sessions.set(session.id, { ...session, endedAt: now })
      return session.id
    })
  /** Ends all sessions of a user, and refuses external tokens from before: `end_sessions` in SQL. */
  const endEvery = (userId: UserId, now: Date) => {
    for (const [key, identity] of identities) {
      if (identity.userId === userId) identities.set(key, { ...identity, validFrom: now.getTime() })
    }
    return endAll(livingOf(userId, now), now)
  }
  const beginClosing = (userId: UserId) =>
    Effect.map(DateTime.nowAsDate, (closingAt) => {
      const user = userOf(userId)
      if (user !== undefined) users.set(userId, { ...user, closingAt })
      return user !== undefined
    })
  return { userOf, living, livingOf, endAll, endEvery, beginClosing }
}

type Living = ReturnType<typeof makeLiving>

const makeAccounts = (
  { sessions, users }: Memory["Service"],
  { userOf }: Living
): Part<"account" | "user" | "addresses"> => ({
  account: (login) =>
    Effect.sync(() =>
      Array.from(users.values()).find(
        (user) => (login.includes("@") ? user.emailKey : user.username) === login && user.deletedAt === null
      )
    ),
  user: (id) => Effect.sync(() => userOf(id)),
  addresses: (userId) =>
    Effect.sync(() =>
      Array.from(sessions.values())
        .filter((session) => session.userId === userId)
        .map(({ ip }) => ip)
    )
})

const makeTokens = (
  { sessions }: Memory["Service"],
  { living, userOf }: Living
): Part<"insert" | "find" | "renew" | "use"> => ({
  insert: (session, passwordHash) =>
    Effect.sync(() => {
      const user = userOf(session.userId)
      if (user?.passwordHash !== passwordHash || user.disabledAt !== null) return false
      sessions.set(session.id, session)
      return true
    }),
  find: (id, now) => Effect.sync(() => living(id, now)),
  renew: (seen, renewal) =>
    Effect.sync(() => {
      if (sessions.get(seen.id) !== seen) return undefined
      sessions.set(seen.id, { ...seen, ...renewal })
      return userOf(seen.userId)
    }),
  use: ({ generation, sessionId, userId }, now) =>
    Effect.sync(() => {
      const session = living(sessionId, now)
      if (session === undefined || session.userId !== userId || !isGood(session, generation)) return false
      const usedGeneration = Math.max(session.usedGeneration, generation)
      sessions.set(sessionId, { ...session, usedGeneration, lastUsedAt: now })
      return true
    })
})

/** Closes an account: `close_account` in SQL. */
export const closeAccount = (
  memory: Memory["Service"],
  { endEvery, userOf }: Living,
  userId: UserId,
  passwordHash: string,
  now: Date
): Closing => {
  const { blocks, conversations, identities, scheduledMessages, users } = memory
  const user = userOf(userId)
  if (user?.passwordHash !== passwordHash) return { outcome: "wrong-password" }
  const inGroup = [...conversations.values()].some(
    ({ kind, members }) => kind === "group" && members.get(userId)?.leftSeq === null
  )
  if (inGroup) return { outcome: "in-groups" }
  const ended = endEvery(userId, now)
  const nobody = `deleted-${userId}`
  users.set(userId, {
    ...user,
    email: nobody,
    emailKey: nobody,
    username: nobody,
    displayName: "Deleted user",
    searchName: "",
    avatarUrl: null,
    passwordHash: "",
    deletedAt: now
  })
  revokeBotTokens(memory.serviceTokens, userId)
  blocks.delete(userId)
  dropAttachments(memory, ({ bound, ownerId }) => bound === null && ownerId === userId)
  for (const [id, row] of memory.uploads) if (row.ownerId === userId) memory.uploads.set(id, { ...row, expiresAt: 0 })
  for (const [key, identity] of identities) {
    if (identity.userId === userId) identities.set(key, { ...identity, closed: true })
  }
  for (const row of scheduledMessages.values()) if (row.userId === userId) scheduledMessages.delete(row.id)
  return { outcome: "closed", ended }
}

const makeEnds = (
  memory: Memory["Service"],
  living: Living
): Part<"list" | "end" | "endIdle" | "endedAfter" | "changePassword" | "beginClosing" | "closeAccount"> => {
  const { users } = memory
  const { beginClosing, endAll, livingOf, userOf } = living
  return {
    list: (userId, now, limit, after) =>
      Effect.sync(() =>
        livingOf(userId, now)
          .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1))
          .filter(({ createdAt, id }) => {
            if (after === undefined) return true
            const at = createdAt.getTime()
            return at < after.at || (at === after.at && id < after.id)
          })
          .slice(0, limit)
      ),
    end: (userId, id, now) =>
      Effect.sync(() =>
        endAll(
          livingOf(userId, now).filter((session) => session.id === id),
          now
        )
      ),
    endIdle: (userId, keep, now) =>
      Effect.sync(() =>
        endAll(
          livingOf(userId, now)
            .sort((a, b) => b.lastUsedAt.getTime() - a.lastUsedAt.getTime() || (a.id < b.id ? 1 : -1))
            .slice(keep),
          now
        )
      ),
    // One process has one memory, so that it never misses the end of a session.
    endedAfter: () => Effect.succeed([]),
    changePassword: ({ keep, newHash, oldHash, userId }, now) =>
      Effect.sync(() => {
        const user = userOf(userId)
        if (user?.passwordHash !== oldHash) return undefined
        users.set(userId, { ...user, passwordHash: newHash })
        return endAll(
          livingOf(userId, now).filter((session) => session.id !== keep),
          now
        )
      }),
    beginClosing,
    closeAccount: (userId, passwordHash, now) =>
      Effect.sync(() => closeAccount(memory, living, userId, passwordHash, now))
  }
}

const makeStorage = Effect.map(Memory, (memory) => {
  const living = makeLiving(memory)
  return SessionStorage.of({
    ...makeAccounts(memory, living),
    ...makeTokens(memory, living),
    ...makeEnds(memory, living),
    useExternal: makeUseExternal(memory)
  })
})

/** Sessions in `Memory`. */
export const layerMemory = Sessions.layerNoDeps.pipe(Layer.provide(Layer.effect(SessionStorage, makeStorage)))
