import { randomUUIDv7 } from "node:crypto"
import { DateTime, Effect } from "effect"
import { UserId } from "../../../domain/Ids.ts"
import { Unauthenticated } from "../../../domain/Problem.ts"
import { accountDisabled, notProvisioned, sessionEnded } from "../../../domain/Refusals.ts"
import type { Principal } from "../../../domain/Session.ts"
import { Limits } from "../../platform/Limits.ts"
import { usersRegistered } from "../../platform/MetricDefinitions.ts"
import { Metrics } from "../../platform/Metrics.ts"
import { Settings } from "../../platform/Settings.ts"
import type { EndedSessions } from "../EndedSessions.ts"
import { type Begin, signInsOf } from "../Login.ts"
import { makeCountFailure } from "../PasswordChecks.ts"
import type { Device } from "../Rows.ts"
import { SessionStorage } from "../SessionStorage.ts"
import { type TokenPairs, wellFormed } from "../TokenPairs.ts"
import { type ExternalToken, ExternalTokens } from "./ExternalTokens.ts"

const unknownIssuer = new Unauthenticated({
  code: "token-invalid",
  detail: "The token is not valid: its issuer is none that this service trusts"
})

const refusals = { unknown: notProvisioned, disabled: accountDisabled, ended: sessionEnded }

/** Makes the sessions of external tokens. */
export const makeExternalSessions = Effect.fnUntraced(function* (endedSessions: EndedSessions) {
  const { limits } = yield* Settings
  const storage = yield* SessionStorage
  const registered = (yield* Metrics).counter(usersRegistered)

  /**
   * The user of a token, who is made if the settings say so. The session of the token must not have ended; with `begins`
   * it begins.
   */
  return Effect.fnUntraced(function* (token: ExternalToken, device: Device, begins: boolean) {
    const now = yield* DateTime.nowAsDate
    const used = yield* storage.useExternal(
      { ...token, ...wellFormed(device), begins, newUserId: UserId.make(randomUUIDv7()) },
      now
    )
    if (used.userId === null) return yield* refusals[used.outcome]
    if (used.created) registered()
    if (used.outcome === "begun") {
      yield* endedSessions.publish(storage.endIdle(used.userId, limits.sessionsPerUser, now))
    }
    const principal: Principal = { userId: used.userId, sessionId: token.sessionId, expiresAt: token.expiresAt }
    return principal
  })
})

/** Makes `Sessions.exchange`. */
export const makeExchange = Effect.fnUntraced(function* (
  externalSession: ExternalSessions,
  tokenPairs: TokenPairs,
  begin: Begin
) {
  const { jwt, limits } = yield* Settings
  const externalTokens = yield* ExternalTokens
  const limiter = yield* Limits
  const storage = yield* SessionStorage
  const countFailure = yield* makeCountFailure

  return Effect.fn("Sessions.exchange")(
    function* (token: string, device: Device) {
      const external = yield* externalTokens.verify(token)
      if (external === undefined) return yield* unknownIssuer
      const { userId } = yield* externalSession(external, device, false)
      yield* limiter.consume(...signInsOf(userId, limits))
      const account = yield* storage.user(userId)
      if (account === undefined) return yield* sessionEnded
      const session = yield* begin(account, device, jwt.refreshExpiration)
      return session === undefined ? yield* sessionEnded : yield* tokenPairs.issue(account, session)
    },
    Effect.tapError((error) =>
      error._tag === "Unauthenticated" ? countFailure(error.code ?? "token-invalid") : Effect.void
    )
  )
})

/** The result of `makeExternalSessions`. */
export type ExternalSessions = Effect.Success<ReturnType<typeof makeExternalSessions>>
