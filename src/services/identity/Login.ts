import { hash, randomUUIDv7 } from "node:crypto"
import { DateTime, Effect, Exit } from "effect"
import { SessionId, UserId } from "../../domain/Ids.ts"
import { Unauthenticated } from "../../domain/Problem.ts"
import { accountDisabled, passwordsDisabled } from "../../domain/Refusals.ts"
import type { Login } from "../../domain/Session.ts"
import { addressKey } from "../platform/Address.ts"
import { type Counter, Limits } from "../platform/Limits.ts"
import { FairQueue } from "../platform/load/FairQueue.ts"
import { Settings, type SettingsShape } from "../platform/Settings.ts"
import type { EndedSessions } from "./EndedSessions.ts"
import type { PasswordChecks } from "./PasswordChecks.ts"
import type { Turn } from "./Passwords.ts"
import type { Device, SessionRow, UserRow } from "./Rows.ts"
import { SessionStorage } from "./SessionStorage.ts"
import { type TokenPairs, wellFormed } from "./TokenPairs.ts"
import { folded } from "./Users.ts"

const wrongLogin = new Unauthenticated({ detail: "The login or the password is wrong" })

/** The id of no user. A login for it takes as long as one for a real user. */
const nobody = UserId.make("00000000-0000-4000-8000-000000000000")

/**
 * Who signs in to an account again and again from one address does one after the other, so that at most one of these asks the
 * database at a time. Nobody else waits for them here: the hashes have another queue.
 */
const oneByOne = { atATimePerKey: 1, waitingPerKey: 20, detail: "Too many sign-ins at once" }

/** The counter of how often somebody signs in. */
export const signInsOf = (account: string, limits: SettingsShape["limits"]): Counter => [
  `sign-ins:${account}`,
  limits.loginsPerMinute,
  "1 minute"
]

/**
 * Makes the function that starts a session of an account, which expires after a lifetime in milliseconds; undefined when the
 * account was changed, disabled or closed meanwhile. Beyond `limits.sessionsPerUser`, sessions end.
 */
export const makeBegin = Effect.fnUntraced(function* (endedSessions: EndedSessions) {
  const { limits } = yield* Settings
  const storage = yield* SessionStorage

  return Effect.fnUntraced(function* (account: UserRow, device: Device, lifetimeMs: number) {
    const now = yield* DateTime.nowAsDate
    const session: SessionRow = {
      ...wellFormed(device),
      id: SessionId.make(randomUUIDv7()),
      userId: account.id,
      generation: 1,
      previousGeneration: 0,
      droppedGeneration: 0,
      usedGeneration: 0,
      rotatedAt: now,
      createdAt: now,
      lastUsedAt: now,
      expiresAt: new Date(now.getTime() + lifetimeMs),
      endedAt: null
    }
    if (!(yield* storage.insert(session, account.passwordHash))) return undefined
    yield* endedSessions.publish(storage.endIdle(account.id, limits.sessionsPerUser, now))
    return session
  })
})

/** The result of `makeBegin`. */
export type Begin = Effect.Success<ReturnType<typeof makeBegin>>

/** Makes `Sessions.login`. */
export const makeLogin = Effect.fnUntraced(function* (
  passwordChecks: PasswordChecks,
  tokenPairs: TokenPairs,
  begin: Begin
) {
  const { auth, jwt, limits } = yield* Settings
  const limiter = yield* Limits
  const storage = yield* SessionStorage

  /**
   * Failures are counted by the login that was typed, and not by the account, so that nobody learns which e-mail
   * address and username belong together. They are counted by address too, so that nobody can lock out somebody else.
   * The longer the guessing goes on, the longer the waits become.
   */
  const countersOf = (typed: string, address: string): ReadonlyArray<Counter> => {
    const most = limits.loginFailuresPerMinute
    return [
      [`login-address:${address}`, limits.loginFailuresPerMinuteAddress, "1 minute"],
      [`login:${typed}:${address}`, most, "1 minute"],
      [`login-ten-minutes:${typed}:${address}`, most * 2, "10 minutes"],
      [`login-hour:${typed}:${address}`, most * 4, "1 hour"]
    ]
  }

  const signIn = Effect.fnUntraced(function* (
    { login, password, ...device }: Login & Device,
    { account: typed, address }: Turn
  ) {
    const account = yield* storage.account(folded(login))
    // Counted before the password is checked, so that signing in without end does not cost a hash each time.
    const signIns = signInsOf(account?.id ?? typed, limits)
    yield* limiter.consume(...signIns)
    const check = passwordChecks.verify(account, password, { account: typed, address }, countersOf(typed, address), {
      counter: [`login-account:${typed}`, limits.loginFailuresPerMinuteAccount, "1 minute"],
      isExempt: Effect.map(storage.addresses(account?.id ?? nobody), (known) =>
        known.some((ip) => addressKey(ip) === address)
      )
    })
    const right = yield* Effect.onExit(check, (exit) =>
      Exit.isSuccess(exit) && exit.value ? Effect.void : limiter.giveBack(...signIns)
    )
    if (account === undefined || !right) return yield* wrongLogin
    if (account.disabledAt !== null) return yield* accountDisabled
    const session = yield* begin(account, device, jwt.refreshExpiration)
    if (session === undefined) return yield* wrongLogin
    return yield* tokenPairs.issue(account, session)
  })

  const queue = new FairQueue(oneByOne)

  return Effect.fn("Sessions.login")(function* (login: Login & Device) {
    if (!auth.passwords) return yield* passwordsDisabled
    const turn = { account: hash("sha256", folded(login.login), "base64url"), address: addressKey(login.ip) }
    return yield* queue.run(`${turn.account} ${turn.address}`, signIn(login, turn))
  })
})
