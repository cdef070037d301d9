import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { SessionId, UserId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import { Memory, type SessionRow, type UserRow } from "./Memory.ts"
import { isGood, type Rotation } from "./RefreshTokens.ts"
import { isRetryable, orUnavailable } from "./Sql.ts"

/** What a refresh writes. */
export type Renewal = Rotation & Pick<SessionRow, "userAgent" | "ip" | "lastUsedAt" | "expiresAt">

/** `deleted`: together with its user's account. */
export interface EndedSession {
  readonly id: SessionId
  readonly endedSeq: number
  readonly deleted: boolean
}

/** What became of the end of an account: first its user must be in no group, and the password still be that one. */
export type Closing =
  | { readonly outcome: "closed"; readonly ended: ReadonlyArray<SessionId> }
  | { readonly outcome: "in-groups" }
  | { readonly outcome: "wrong-password" }

/** Where sessions are kept. One lives until it has ended or expired; of deleted users none does. */
export interface SessionStorage {
  /** Who signs in with this name; a name with an `@` is an e-mail address. */
  readonly account: (login: string) => Effect.Effect<UserRow | undefined, Unavailable>
  readonly user: (id: UserId) => Effect.Effect<UserRow | undefined, Unavailable>
  /** False when the user's password is no longer the one with this hash. */
  readonly insert: (session: SessionRow, passwordHash: string) => Effect.Effect<boolean, Unavailable>
  /** The session, if it lives. */
  readonly find: (id: SessionId, now: Date) => Effect.Effect<SessionRow | undefined, Unavailable>
  /** Gives the session's user; undefined when something has happened to the session since `seen` was read. */
  readonly renew: (seen: SessionRow, renewal: Renewal) => Effect.Effect<UserRow | undefined, Unavailable>
  /** Notes that an access token of this generation is in use; false when it is not good or the session does not live. */
  readonly use: (
    token: { readonly sessionId: SessionId; readonly userId: UserId; readonly generation: number },
    now: Date
  ) => Effect.Effect<boolean, Unavailable>
  /** Newest first, at most `limit`. */
  readonly list: (userId: UserId, now: Date, limit: number) => Effect.Effect<ReadonlyArray<SessionRow>, Unavailable>
  /** The ids of the sessions that this has ended: the one, or none when it did not live. */
  readonly end: (userId: UserId, id: SessionId, now: Date) => Effect.Effect<ReadonlyArray<SessionId>, Unavailable>
  /** Sessions that were ended after a place in their order; without one, the last that was. */
  readonly endedAfter: (seq: number | undefined) => Effect.Effect<ReadonlyArray<EndedSession>, Unavailable>
  /** Changes the password and ends all sessions but `keep`. Undefined when the password is no longer `oldHash`. */
  readonly changePassword: (
    change: { readonly userId: UserId; readonly keep: SessionId; readonly oldHash: string; readonly newHash: string },
    now: Date
  ) => Effect.Effect<ReadonlyArray<SessionId> | undefined, Unavailable>
  /** Ends the account and all its sessions. Nothing is left that tells who it was. */
  readonly closeAccount: (userId: UserId, passwordHash: string, now: Date) => Effect.Effect<Closing, Unavailable>
}

/** In PostgreSQL. */
export const makeSqlSessions = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const storage: SessionStorage = {
    account: (login) =>
      sql<UserRow>`SELECT * FROM users
        WHERE ${sql.literal(login.includes("@") ? "email_key" : "username")} = ${login} AND deleted_at IS NULL`.pipe(
        Effect.map((rows) => rows[0]),
        orUnavailable
      ),
    user: (id) =>
      sql<UserRow>`SELECT * FROM users WHERE id = ${id} AND deleted_at IS NULL`.pipe(
        Effect.map((rows) => rows[0]),
        orUnavailable
      ),
    // The lock keeps a change of the password from passing between its check and the session: see change_password.
    insert: (session, passwordHash) =>
      sql`INSERT INTO sessions (id, user_id, user_agent, ip, generation, previous_generation, dropped_generation,
          used_generation, rotated_at, created_at, last_used_at, expires_at)
        SELECT ${session.id}, u.id, ${session.userAgent}, ${session.ip}, ${session.generation},
          ${session.previousGeneration}, ${session.droppedGeneration}, ${session.usedGeneration}, ${session.rotatedAt},
          ${session.createdAt}, ${session.lastUsedAt}, ${session.expiresAt}
        FROM users u WHERE u.id = ${session.userId} AND u.password_hash = ${passwordHash} AND u.deleted_at IS NULL
        FOR SHARE OF u
        RETURNING id`.pipe(
        Effect.map((rows) => rows.length === 1),
        orUnavailable
      ),
    find: (id, now) =>
      sql<SessionRow>`SELECT s.* FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE s.id = ${id} AND s.ended_at IS NULL AND s.expires_at > ${now} AND u.deleted_at IS NULL`.pipe(
        Effect.map((rows) => rows[0]),
        orUnavailable
      ),
    renew: (seen, renewal) =>
      sql<UserRow>`UPDATE sessions s SET generation = ${renewal.generation},
          previous_generation = ${renewal.previousGeneration}, dropped_generation = ${renewal.droppedGeneration},
          used_generation = ${renewal.usedGeneration}, rotated_at = ${renewal.rotatedAt},
          user_agent = ${renewal.userAgent}, ip = ${renewal.ip}, last_used_at = ${renewal.lastUsedAt},
          expires_at = ${renewal.expiresAt}
        FROM users u
        WHERE s.id = ${seen.id} AND s.generation = ${seen.generation} AND s.used_generation = ${seen.usedGeneration}
          AND s.ended_at IS NULL AND u.id = s.user_id AND u.deleted_at IS NULL
        RETURNING u.*`.pipe(
        Effect.map((rows) => rows[0]),
        orUnavailable
      ),
    // The rule of isGood, in the database's words.
    use: ({ generation, sessionId, userId }, now) =>
      sql`UPDATE sessions SET used_generation = GREATEST(used_generation, ${generation}), last_used_at = ${now}
        WHERE id = ${sessionId} AND user_id = ${userId} AND ended_at IS NULL AND expires_at > ${now}
          AND ${generation} <= generation
          AND (${generation} > dropped_generation OR ${generation} = previous_generation)
          AND EXISTS (SELECT FROM users u WHERE u.id = user_id AND u.deleted_at IS NULL)
        RETURNING id`.pipe(
        Effect.map((rows) => rows.length === 1),
        orUnavailable
      ),
    list: (userId, now, limit) =>
      sql<SessionRow>`SELECT * FROM sessions WHERE user_id = ${userId} AND ended_at IS NULL AND expires_at > ${now}
        ORDER BY created_at DESC, id DESC LIMIT ${limit}`.pipe(orUnavailable),
    end: (userId, id, now) =>
      sql<Pick<SessionRow, "id">>`UPDATE sessions SET ended_at = ${now}, ended_seq = nextval('session_ends')
        WHERE id = ${id} AND user_id = ${userId} AND ended_at IS NULL AND expires_at > ${now}
        RETURNING id`.pipe(
        Effect.map((rows) => rows.map((row) => row.id)),
        orUnavailable
      ),
    endedAfter: (seq) =>
      sql<EndedSession>`SELECT s.id, s.ended_seq, u.deleted_at IS NOT NULL AS deleted
        FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE ${
          seq === undefined
            ? sql`s.ended_seq = (SELECT max(ended_seq) FROM sessions WHERE ended_seq IS NOT NULL)`
            : sql`s.ended_seq > ${seq}`
        } ORDER BY s.ended_seq`.pipe(orUnavailable),
    changePassword: ({ keep, newHash, oldHash, userId }, now) =>
      sql<{ readonly ended: ReadonlyArray<SessionId> | null }>`SELECT change_password(${userId}, ${keep}, ${oldHash},
          ${newHash}, ${now}) AS ended`.pipe(
        Effect.map((rows) => rows[0]?.ended ?? undefined),
        orUnavailable
      ),
    closeAccount: (userId, passwordHash, now) =>
      sql<Closing>`SELECT * FROM close_account(${userId}::uuid, ${passwordHash}::text, ${now}::timestamptz)`.pipe(
        Effect.retry({ while: isRetryable, times: 2 }),
        Effect.map(([closing]): Closing => closing ?? { outcome: "wrong-password" }),
        orUnavailable
      )
  }
  return storage
})

/** In `Memory`. */
export const makeMemorySessions = Effect.map(Memory, ({ blocks, conversations, sessions, users }): SessionStorage => {
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
  return {
    account: (login) =>
      Effect.sync(() =>
        Array.from(users.values()).find(
          (user) => (login.includes("@") ? user.emailKey : user.username) === login && user.deletedAt === null
        )
      ),
    user: (id) => Effect.sync(() => userOf(id)),
    insert: (session, passwordHash) =>
      Effect.sync(() => {
        if (userOf(session.userId)?.passwordHash !== passwordHash) return false
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
      }),
    list: (userId, now, limit) =>
      Effect.sync(() =>
        livingOf(userId, now)
          .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1))
          .slice(0, limit)
      ),
    end: (userId, id, now) =>
      Effect.sync(() =>
        endAll(
          livingOf(userId, now).filter((session) => session.id === id),
          now
        )
      ),
    // One process has one memory: there is nothing that it was not told.
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
    closeAccount: (userId, passwordHash, now) =>
      Effect.sync((): Closing => {
        const user = userOf(userId)
        if (user?.passwordHash !== passwordHash) return { outcome: "wrong-password" }
        const inGroup = [...conversations.values()].some(
          ({ kind, members }) => kind === "group" && members.get(userId)?.leftSeq === null
        )
        if (inGroup) return { outcome: "in-groups" }
        const ended = endAll(livingOf(userId, now), now)
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
        blocks.delete(userId)
        return { outcome: "closed", ended }
      })
  }
})
