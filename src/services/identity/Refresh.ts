import { DateTime, Effect } from "effect"
import { Unauthenticated } from "../../domain/Problem.ts"
import { Limits } from "../platform/Limits.ts"
import { Settings } from "../platform/Settings.ts"
import type { EndedSessions } from "./EndedSessions.ts"
import { makeCountFailure } from "./PasswordChecks.ts"
import { rotate } from "./RefreshTokens.ts"
import type { Device } from "./Rows.ts"
import { SessionStorage } from "./SessionStorage.ts"
import { expiryOf, type TokenPairs, wellFormed } from "./TokenPairs.ts"

const wrongRefreshToken = new Unauthenticated({ detail: "The refresh token is not valid" })

/** Makes `Sessions.refresh`. */
export const makeRefresh = Effect.fnUntraced(function* (tokenPairs: TokenPairs, endedSessions: EndedSessions) {
  const { jwt, limits } = yield* Settings
  const limiter = yield* Limits
  const storage = yield* SessionStorage
  const countFailure = yield* makeCountFailure
  const refuse = Effect.andThen(countFailure("refresh-token"), Effect.fail(wrongRefreshToken))

  return Effect.fn("Sessions.refresh")(function* ({
    refreshToken,
    ...device
  }: { readonly refreshToken: string } & Device) {
    const presented = tokenPairs.readRefreshToken(refreshToken)
    if (presented === undefined) return yield* refuse
    yield* limiter.consume(`refresh:${presented.sessionId}`, limits.refreshesPerMinute, "1 minute")
    // Another round when the session changed between reading and writing, because another request won the race.
    while (true) {
      const now = yield* DateTime.nowAsDate
      const session = yield* storage.find(presented.sessionId, now)
      if (session === undefined) return yield* refuse
      const rotation = rotate(session, presented.generation, now)
      if (rotation === undefined) {
        yield* endedSessions.publish(storage.end(session.userId, session.id, now))
        yield* countFailure("refresh-reuse")
        yield* Effect.logWarning("a refresh token was used twice; its session was ended", {
          sessionId: session.id,
          userId: session.userId
        })
        return yield* wrongRefreshToken
      }
      const renewal = { ...rotation, ...wellFormed(device), lastUsedAt: now, expiresAt: expiryOf(jwt, now) }
      const user = yield* storage.renew(session, renewal)
      if (user !== undefined) return yield* tokenPairs.issue(user, { id: session.id, generation: rotation.generation })
    }
  })
})
