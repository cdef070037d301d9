import { hash, randomUUIDv7 } from "node:crypto"
import { Clock, Context, Effect, Layer, Option, Schema, type Scope } from "effect"
import { SessionId, type UserId } from "../domain/Ids.ts"
import {
  Forbidden,
  type InvalidRequest,
  invalid,
  NotFound,
  type RateLimited,
  Unauthenticated,
  type Unavailable
} from "../domain/Problem.ts"
import type { Login, PasswordChange, Principal, Session, Tokens } from "../domain/Session.ts"
import { AccessTokens } from "./AccessTokens.ts"
import { every } from "./Background.ts"
import { addressKey, Limits } from "./Limits.ts"
import type { SessionRow, UserRow } from "./Memory.ts"
import { authFailures } from "./MetricDefinitions.ts"
import { Metrics, type Values } from "./Metrics.ts"
import { Passwords, passwordIssue } from "./Passwords.ts"
import { PubSub, sessionsEnded, sessionsSubject } from "./PubSub.ts"
import { makeRefreshTokens, rotate } from "./RefreshTokens.ts"
import { makeRememberedTokens } from "./RememberedTokens.ts"
import { makeMemorySessions, makeSqlSessions, type SessionStorage } from "./SessionStorage.ts"
import { Settings } from "./Settings.ts"
import { folded, toMe } from "./Users.ts"

/** From where a request comes, as a person sees it in the list of devices. */
export interface Device {
  readonly userAgent: string
  readonly ip: string
}

const toSession = (row: SessionRow, current: SessionId): Session => ({
  id: row.id,
  current: row.id === current,
  userAgent: row.userAgent,
  ip: row.ip,
  createdAt: row.createdAt.toISOString(),
  lastUsedAt: row.lastUsedAt.toISOString(),
  expiresAt: row.expiresAt.toISOString()
})

/** How long the commit of an ended session may take after its number was given. */
const overlapMs = 15_000

const decodeEnded = Schema.decodeUnknownOption(
  Schema.fromJsonString(
    Schema.Struct({ sessionIds: Schema.Array(SessionId), deleted: Schema.optionalKey(Schema.Boolean) })
  )
)

/** Some 10 MB of tokens. */
const remembered = 20_000

const wrongLogin = new Unauthenticated({ detail: "The login or the password is wrong" })
const wrongRefreshToken = new Unauthenticated({ detail: "The refresh token is not valid" })
const sessionEnded = new Unauthenticated({ code: "session-ended", detail: "The session has ended" })
const wrongPassword = new Forbidden({ detail: "The current password is wrong" })

/**
 * Who is signed in, on which devices. Each end of a session is told to all nodes over the bus, and read by them from
 * `sessions.ended_seq` every `timers.sessionRecheck`, should the bus lose it.
 */
export class Sessions extends Context.Service<
  Sessions,
  {
    /** Starts a session. Failures count against the login and the address, whether the account exists or not. */
    readonly login: (request: Login & Device) => Effect.Effect<Tokens, Unauthenticated | RateLimited | Unavailable>
    /**
     * New tokens for old. The previous refresh token is good again for 60 s while nothing of its successor was used;
     * any other that was replaced ends the session.
     */
    readonly refresh: (
      request: { readonly refreshToken: string } & Device
    ) => Effect.Effect<Tokens, Unauthenticated | Unavailable>
    /** Who holds the access token. The `code` of a refusal says whether it is a case for a refresh. */
    readonly authenticate: (accessToken: string) => Effect.Effect<Principal, Unauthenticated | Unavailable>
    /** Whether the session still lives, by the database: for who is to hear of its end only from now on. */
    readonly check: (principal: Principal) => Effect.Effect<void, Unauthenticated | Unavailable>
    /** Ends the caller's own session. */
    readonly logout: (principal: Principal) => Effect.Effect<void, Unavailable>
    /** Ends every other session of the user too. A wrong current password is `Forbidden` and counts as a failure. */
    readonly changePassword: (
      principal: Principal,
      change: PasswordChange
    ) => Effect.Effect<void, InvalidRequest | Forbidden | RateLimited | Unavailable>
    /** The caller's living sessions, newest first, at most a page. */
    readonly list: (principal: Principal) => Effect.Effect<ReadonlyArray<Session>, Unavailable>
    /** Ends one of the caller's sessions. */
    readonly end: (principal: Principal, id: SessionId) => Effect.Effect<void, NotFound | Unavailable>
    /**
     * Ends the caller's account and all its sessions, once `leaveGroups` has left no group to be in: it is run again
     * when somebody adds him meanwhile. A wrong password is `Forbidden` and counts as a failure.
     */
    readonly closeAccount: (
      principal: Principal,
      password: string,
      leaveGroups: Effect.Effect<void, Unavailable>
    ) => Effect.Effect<void, Forbidden | RateLimited | Unavailable>
    /** Tells of ended sessions, wherever they were ended, until the scope closes; `deleted`: their account ended too. */
    readonly onEnded: (
      listener: (sessionIds: ReadonlyArray<SessionId>, deleted: boolean) => void
    ) => Effect.Effect<void, never, Scope.Scope>
  }
>()("chat/services/Sessions") {
  static readonly make = Effect.fnUntraced(function* (storage: SessionStorage) {
    const { jwt, limits, timers } = yield* Settings
    const accessTokens = yield* AccessTokens
    const limiter = yield* Limits
    const passwords = yield* Passwords
    const pubSub = yield* PubSub
    const metrics = yield* Metrics
    if (jwt.secret === undefined) return yield* Effect.die("jwt.secret is not set")
    const refreshTokens = makeRefreshTokens([jwt.secret, ...jwt.previousSecrets])
    const tokens = makeRememberedTokens(remembered)

    const failed = (reason: Values<typeof authFailures.labels>["reason"]) =>
      Effect.sync(() => metrics.counter(authFailures, { reason })())

    const currentDate = Effect.map(Clock.currentTimeMillis, (millis) => new Date(millis))
    const expiry = (now: Date) => new Date(now.getTime() + jwt.refreshExpiration)
    const named = ({ ip, userAgent }: Device): Device => ({ ip, userAgent: userAgent.slice(0, 512).toWellFormed() })

    const tokensFor = (user: UserRow, session: Pick<SessionRow, "id" | "generation">) => {
      const of = { userId: user.id, sessionId: session.id, generation: session.generation }
      return Effect.map(
        accessTokens.issue(of),
        (accessToken): Tokens => ({
          accessToken,
          expiresIn: Math.floor(jwt.expiration / 1000),
          refreshToken: refreshTokens.issue(of),
          user: toMe(user),
          sessionId: session.id
        })
      )
    }

    const listeners = new Set<(sessionIds: ReadonlyArray<SessionId>, deleted: boolean) => void>()
    let told = new Set<SessionId>()
    const ended = (sessionIds: ReadonlyArray<SessionId>, deleted: boolean) => {
      const news = sessionIds.filter((id) => !told.has(id))
      if (news.length === 0) return
      for (const id of news) told.add(id)
      tokens.forget(news)
      for (const listener of listeners) listener(news, deleted)
    }

    yield* pubSub.subscribe(sessionsSubject, (events) => {
      for (const { json } of events)
        Option.map(decodeEnded(json), ({ deleted = false, sessionIds }) => ended(sessionIds, deleted))
    })

    // The numbers are given before they are committed, so a lower one may come after a higher one: each look goes back
    // to where the looks of the last few seconds began. Nothing that was told once is told again.
    const marks: Array<number> = []
    const recheck = Effect.gen(function* () {
      const rows = yield* storage.endedAfter(marks[0])
      for (const deleted of [true, false])
        ended(
          rows.filter((row) => row.deleted === deleted).map(({ id }) => id),
          deleted
        )
      told = new Set(rows.map(({ id }) => id))
      marks.push(Math.max(marks.at(-1) ?? 0, ...rows.map(({ endedSeq }) => endedSeq)))
      if (marks.length > Math.ceil(overlapMs / timers.sessionRecheck)) marks.shift()
    })
    yield* every(timers.sessionRecheck, "the look at ended sessions", recheck)

    /** Every end of a session goes through here: once it is committed it is also made known. */
    const ending = <E>(end: Effect.Effect<ReadonlyArray<SessionId>, E>, deleted = false) =>
      end.pipe(
        Effect.tap((sessionIds) => {
          if (sessionIds.length === 0) return Effect.void
          tokens.forget(sessionIds)
          return pubSub.publish(sessionsSubject, [sessionsEnded(sessionIds, deleted)])
        }),
        Effect.uninterruptible
      )

    /** Failures count, each on all of the counters; a success is free. */
    const verifyPassword = Effect.fnUntraced(function* (
      passwordHash: string | null,
      password: string,
      counters: ReadonlyArray<readonly [key: string, limit: number]>
    ) {
      const giveBack = (count: number) =>
        Effect.forEach(counters.slice(0, count), ([key, limit]) => limiter.giveBack(key, limit, "1 minute"), {
          discard: true
        })
      // Counted before it is known: many attempts at once must not slip through together.
      const take = Effect.forEach(
        counters,
        ([key, limit], index) => limiter.consume(key, limit, "1 minute").pipe(Effect.tapError(() => giveBack(index))),
        { discard: true }
      )
      const right = yield* passwords.verify(passwordHash, password, take)
      yield* right ? giveBack(counters.length) : failed("password")
      return right
    })

    /** That it is the user's password: its hash. */
    const confirm = Effect.fnUntraced(function* (userId: UserId, password: string) {
      const user = yield* storage.user(userId)
      const right = yield* verifyPassword(user?.passwordHash ?? null, password, [
        [`password:${userId}`, limits.loginFailuresPerMinute]
      ])
      return user === undefined || !right ? yield* wrongPassword : user.passwordHash
    })

    /** Undefined when the user was in a group. */
    const close = (userId: UserId, passwordHash: string) =>
      Effect.gen(function* () {
        const closing = yield* storage.closeAccount(userId, passwordHash, yield* currentDate)
        if (closing.outcome === "wrong-password") return yield* wrongPassword
        if (closing.outcome === "in-groups") return undefined
        return yield* ending(Effect.succeed(closing.ended), true)
      }).pipe(Effect.uninterruptible)

    const verifyToken = Effect.fn("Sessions.authenticate")(
      function* (accessToken: string) {
        const endsBefore = tokens.ends()
        const claims = yield* accessTokens.verify(accessToken)
        if (!(yield* storage.use(claims, yield* currentDate))) {
          return yield* sessionEnded
        }
        const principal: Principal = {
          userId: claims.userId,
          sessionId: claims.sessionId,
          expiresAt: claims.expiresAt
        }
        tokens.add(accessToken, principal, endsBefore)
        return principal
      },
      Effect.tapError((error) =>
        error._tag === "Unauthenticated" ? failed(error.code ?? "token-invalid") : Effect.void
      )
    )

    const notRefreshed = Effect.andThen(failed("refresh-token"), Effect.fail(wrongRefreshToken))

    return Sessions.of({
      login: Effect.fn("Sessions.login")(function* ({ login, password, ...device }) {
        const name = folded(login)
        const account = yield* storage.account(name)
        const right = yield* verifyPassword(account?.passwordHash ?? null, password, [
          [`login:${addressKey(device.ip)}`, limits.loginFailuresPerMinuteAddress],
          [`login:${account?.id ?? hash("sha256", name, "base64url")}`, limits.loginFailuresPerMinute]
        ])
        if (account === undefined || !right) return yield* wrongLogin
        const now = yield* currentDate
        const session: SessionRow = {
          ...named(device),
          id: SessionId.make(randomUUIDv7()),
          userId: account.id,
          generation: 1,
          previousGeneration: 0,
          droppedGeneration: 0,
          usedGeneration: 0,
          rotatedAt: now,
          createdAt: now,
          lastUsedAt: now,
          expiresAt: expiry(now),
          endedAt: null
        }
        if (!(yield* storage.insert(session, account.passwordHash))) return yield* wrongLogin
        return yield* tokensFor(account, session)
      }),
      refresh: Effect.fn("Sessions.refresh")(function* ({ refreshToken, ...device }) {
        const presented = refreshTokens.read(refreshToken)
        if (presented === undefined) return yield* notRefreshed
        // Another round when the session changed between reading and writing: somebody else got through.
        while (true) {
          const now = yield* currentDate
          const session = yield* storage.find(presented.sessionId, now)
          if (session === undefined) return yield* notRefreshed
          const rotation = rotate(session, presented.generation, now)
          if (rotation === undefined) {
            yield* ending(storage.end(session.userId, session.id, now))
            yield* failed("refresh-reuse")
            yield* Effect.logWarning("refresh token used twice", { sessionId: session.id, userId: session.userId })
            return yield* wrongRefreshToken
          }
          const renewal = { ...rotation, ...named(device), lastUsedAt: now, expiresAt: expiry(now) }
          const user = yield* storage.renew(session, renewal)
          if (user !== undefined) return yield* tokensFor(user, { id: session.id, generation: rotation.generation })
        }
      }),
      authenticate: (accessToken) =>
        Effect.clockWith((clock): Effect.Effect<Principal, Unauthenticated | Unavailable> => {
          const principal = tokens.get(accessToken, clock.currentTimeMillisUnsafe())
          return principal === undefined ? verifyToken(accessToken) : Effect.succeed(principal)
        }),
      check: Effect.fn("Sessions.check")(function* ({ sessionId, userId }) {
        const session = yield* storage.find(sessionId, yield* currentDate)
        if (session?.userId !== userId) return yield* sessionEnded
      }),
      logout: Effect.fn("Sessions.logout")(function* ({ sessionId, userId }) {
        yield* ending(storage.end(userId, sessionId, yield* currentDate))
      }),
      changePassword: Effect.fn("Sessions.changePassword")(function* ({ sessionId, userId }, change) {
        const issue = passwordIssue(change.newPassword, limits.passwordLength)
        if (issue !== undefined) return yield* invalid("newPassword", issue)
        const oldHash = yield* confirm(userId, change.currentPassword)
        const newHash = yield* passwords.hash(change.newPassword)
        const now = yield* currentDate
        const replacement = { userId, keep: sessionId, oldHash, newHash }
        yield* ending(
          Effect.flatMap(storage.changePassword(replacement, now), (ended) =>
            ended === undefined ? Effect.fail(wrongPassword) : Effect.succeed(ended)
          )
        )
      }),
      list: Effect.fn("Sessions.list")(function* ({ sessionId, userId }) {
        const rows = yield* storage.list(userId, yield* currentDate, limits.pageSize)
        return rows.map((row) => toSession(row, sessionId))
      }),
      end: Effect.fn("Sessions.end")(function* ({ userId }, id) {
        const endedIds = yield* ending(storage.end(userId, id, yield* currentDate))
        if (endedIds.length === 0) return yield* new NotFound({})
      }),
      closeAccount: Effect.fn("Sessions.closeAccount")(function* ({ userId }, password, leaveGroups) {
        const passwordHash = yield* confirm(userId, password)
        yield* leaveGroups.pipe(
          Effect.andThen(close(userId, passwordHash)),
          Effect.repeat({ until: (closed) => closed !== undefined })
        )
      }),
      onEnded: (listener) =>
        Effect.acquireRelease(
          Effect.sync(() => listeners.add(listener)),
          () => Effect.sync(() => listeners.delete(listener))
        )
    })
  })

  static readonly layer = Layer.effect(Sessions, Effect.flatMap(makeSqlSessions, Sessions.make))

  static readonly layerTest = Layer.effect(Sessions, Effect.flatMap(makeMemorySessions, Sessions.make))
}
