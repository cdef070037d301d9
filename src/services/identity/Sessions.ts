import { Context, DateTime, Duration, Effect, Layer, type Scope } from "effect"
import type { SessionId, UserId } from "../../domain/Ids.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import type {
  Forbidden,
  InvalidRequest,
  NotFound,
  RateLimited,
  Unauthenticated,
  Unavailable
} from "../../domain/Problem.ts"
import { accountDisabled, noSession, noUser, sessionEnded } from "../../domain/Refusals.ts"
import type { Login, PasswordChange, Principal, Session, Tokens } from "../../domain/Session.ts"
import { checkLimit, pageOf } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import { AccessTokens } from "./AccessTokens.ts"
import { makeAccountSecurity } from "./AccountSecurity.ts"
import { makeAuthenticate } from "./Authenticate.ts"
import { makeEndedSessions } from "./EndedSessions.ts"
import { makeExchange, makeExternalSessions } from "./issuers/ExternalSessions.ts"
import { makeBegin, makeLogin } from "./Login.ts"
import { makePasswordChecks } from "./PasswordChecks.ts"
import { makeRefresh } from "./Refresh.ts"
import { makeRememberedTokens } from "./RememberedTokens.ts"
import type { Device, SessionRow } from "./Rows.ts"
import { SessionStorage, sessionCursor } from "./SessionStorage.ts"
import { makeTokenPairs } from "./TokenPairs.ts"

const toSession = (row: SessionRow, current: SessionId): Session => ({
  id: row.id,
  current: row.id === current,
  userAgent: row.userAgent,
  ip: row.ip,
  createdAt: row.createdAt.toISOString(),
  lastUsedAt: row.lastUsedAt.toISOString(),
  expiresAt: row.expiresAt.toISOString()
})

/** How many verified access tokens a node remembers: about 10 MB of them. */
const rememberedTokens = 20_000

/**
 * The users' sessions: one per signed-in device. Each end of a session is published to all nodes over the bus. Should
 * the bus lose it, they read it from `sessions.ended_seq`, which they look at every `timers.sessionRecheck`.
 */
export class Sessions extends Context.Service<
  Sessions,
  {
    /**
     * Starts a session. Every call starts another one. Beyond `limits.sessionsPerUser` sessions, the least recently
     * used ones end. An account can log in `limits.loginsPerMinute` times a minute. Failures count against the login
     * and against the address, whether the account exists or not, and a successful login is no failure. `Forbidden`
     * ("account-disabled") for the right password of a disabled account, and for every login where `auth.passwords` is
     * false ("passwords-disabled").
     */
    readonly login: (
      request: Login & Device
    ) => Effect.Effect<Tokens, Unauthenticated | Forbidden | RateLimited | Unavailable>
    /**
     * Starts a session for a user whom a program names, without a password: one access token, and the session expires with
     * it. Beyond `limits.sessionsPerUser` the least recently used sessions end. `NotFound` without an account, and
     * `Forbidden` ("account-disabled") for one that is disabled.
     */
    readonly start: (
      userId: UserId,
      lifetime: Duration.Duration
    ) => Effect.Effect<Pick<Tokens, "accessToken" | "sessionId">, NotFound | Forbidden | Unavailable>
    /**
     * Starts a session of a user who has just come, without a password. `NotFound` without an account, and `Forbidden`
     * ("account-disabled") for one that is disabled.
     */
    readonly welcome: (userId: UserId, device: Device) => Effect.Effect<Tokens, NotFound | Forbidden | Unavailable>
    /**
     * Begins a session of our own, with the external token of an issuer in place of a password. Every call begins another
     * one; they count as logins. `Forbidden` as in `authenticate`.
     */
    readonly exchange: (
      externalToken: string,
      device: Device
    ) => Effect.Effect<Tokens, Unauthenticated | Forbidden | RateLimited | Unavailable>
    /**
     * Exchanges a refresh token for new tokens. The previous refresh token works again for 60 s while none of its
     * successor's tokens was used, so that a refresh whose answer was lost can be repeated. Any other token that was
     * replaced ends the session. A session is refreshed at most `limits.refreshesPerMinute` times.
     */
    readonly refresh: (
      request: { readonly refreshToken: string } & Device
    ) => Effect.Effect<Tokens, Unauthenticated | RateLimited | Unavailable>
    /**
     * The holder of the access token, which may be one of ours or of an issuer of the settings. The `code` of a refusal tells
     * the client whether a refresh would help. The first use of an external token begins its session, on `device`, and may
     * make its user; later ones note once a day that it is in use. `Forbidden` when that user may not be made
     * ("not-provisioned") or is disabled ("account-disabled").
     */
    readonly authenticate: (
      accessToken: string,
      device?: Device
    ) => Effect.Effect<Principal, Unauthenticated | Forbidden | Unavailable>
    /**
     * Fails when the session has ended or expired, by the database and not by what this node remembers. A caller that
     * has just begun to listen with `onEnded` uses it, so that it misses no end.
     */
    readonly check: (principal: Principal) => Effect.Effect<void, Unauthenticated | Unavailable>
    /** Ends the caller's own session. Repeating it changes nothing. */
    readonly logout: (principal: Principal) => Effect.Effect<void, Unavailable>
    /**
     * Changes the password and ends every other session of the user. A wrong current password is `Forbidden` and
     * counts as a failure, so a repeated change is refused.
     */
    readonly changePassword: (
      principal: Principal,
      change: PasswordChange
    ) => Effect.Effect<void, InvalidRequest | Forbidden | RateLimited | Unavailable>
    /**
     * Reads a page of the caller's living sessions, newest first. `InvalidRequest` for a limit beyond the setting and for
     * a cursor of another list.
     */
    readonly list: (
      principal: Principal,
      page: PageRequest
    ) => Effect.Effect<Page<Session>, InvalidRequest | Unavailable>
    /** Ends one of the caller's sessions; `NotFound` when it does not live, so also when this is repeated. */
    readonly end: (principal: Principal, id: SessionId) => Effect.Effect<void, NotFound | Unavailable>
    /**
     * Ends the caller's account and all its sessions, once `leaveGroups` has left every group. `leaveGroups` runs again
     * when the user was added to a group in the meantime. A wrong password is `Forbidden` and counts as a failure; no
     * password is `InvalidRequest`, except for guests, who have none. An account that is closed already is left so.
     */
    readonly closeAccount: (
      principal: Principal,
      password: string | undefined,
      leaveGroups: Effect.Effect<void, Unavailable>
    ) => Effect.Effect<void, InvalidRequest | Forbidden | RateLimited | Unavailable>
    /**
     * Runs `end` and makes the ends of the sessions that it gives known to all nodes. `closed` says that their account was
     * deleted or disabled.
     */
    readonly ending: <E>(
      end: Effect.Effect<ReadonlyArray<SessionId>, E>,
      closed?: boolean
    ) => Effect.Effect<ReadonlyArray<SessionId>, E>
    /**
     * Calls `listener` with sessions that have ended, on whatever node, until the scope closes. `closed` says that their
     * account was deleted or disabled.
     */
    readonly onEnded: (
      listener: (sessionIds: ReadonlyArray<SessionId>, closed: boolean) => void
    ) => Effect.Effect<void, never, Scope.Scope>
  }
>()("chat/services/Sessions") {
  /** The rules, on any `SessionStorage`. */
  static readonly layerNoDeps = Layer.effect(
    Sessions,
    Effect.gen(function* () {
      const { jwt, limits } = yield* Settings
      const storage = yield* SessionStorage
      const remembered = makeRememberedTokens(rememberedTokens)
      const tokenPairs = yield* makeTokenPairs
      const passwordChecks = yield* makePasswordChecks
      const endedSessions = yield* makeEndedSessions(remembered.forget)
      const accessTokens = yield* AccessTokens
      const begin = yield* makeBegin(endedSessions)
      const externalSession = yield* makeExternalSessions(endedSessions)
      const { changePassword, closeAccount } = yield* makeAccountSecurity(passwordChecks, endedSessions)

      return Sessions.of({
        login: yield* makeLogin(passwordChecks, tokenPairs, begin),
        exchange: yield* makeExchange(externalSession, tokenPairs, begin),
        start: Effect.fn("Sessions.start")(function* (userId, lifetime) {
          const account = yield* storage.user(userId)
          if (account === undefined) return yield* noUser
          const session = yield* begin(account, { userAgent: "", ip: "" }, Duration.toMillis(lifetime))
          if (session === undefined) return yield* accountDisabled
          const claims = { userId, sessionId: session.id, generation: session.generation }
          const accessToken = yield* accessTokens.issue(claims, Duration.toMillis(lifetime))
          return { accessToken, sessionId: session.id }
        }),
        welcome: Effect.fn("Sessions.welcome")(function* (userId, device) {
          const account = (yield* storage.user(userId)) ?? (yield* noUser)
          const session = yield* begin(account, device, jwt.refreshExpiration)
          return session === undefined ? yield* accountDisabled : yield* tokenPairs.issue(account, session)
        }),
        refresh: yield* makeRefresh(tokenPairs, endedSessions),
        authenticate: yield* makeAuthenticate(remembered, externalSession),
        check: Effect.fn("Sessions.check")(function* ({ sessionId, userId }) {
          const session = yield* storage.find(sessionId, yield* DateTime.nowAsDate)
          if (session?.userId !== userId) return yield* sessionEnded
        }),
        logout: Effect.fn("Sessions.logout")(function* ({ sessionId, userId }) {
          yield* endedSessions.publish(storage.end(userId, sessionId, yield* DateTime.nowAsDate))
        }),
        changePassword,
        list: Effect.fn("Sessions.list")(function* ({ sessionId, userId }, { cursor, limit }) {
          yield* checkLimit({ limit }, limits.pageSize)
          const after = cursor === undefined ? undefined : yield* sessionCursor.decode(cursor)
          const rows = yield* storage.list(userId, yield* DateTime.nowAsDate, limit + 1, after)
          const items = rows.slice(0, limit).map((row) => toSession(row, sessionId))
          return pageOf(rows, limit, items, ({ createdAt, id }) =>
            sessionCursor.encode({ at: createdAt.getTime(), id })
          )
        }),
        end: Effect.fn("Sessions.end")(function* ({ userId }, id) {
          const ended = yield* endedSessions.publish(storage.end(userId, id, yield* DateTime.nowAsDate))
          if (ended.length === 0) return yield* noSession
        }),
        closeAccount,
        ending: endedSessions.publish,
        onEnded: endedSessions.onEnded
      })
    })
  )
}
