import { Clock, DateTime, Duration, Effect } from "effect"
import type { Forbidden, Unauthenticated, Unavailable } from "../../domain/Problem.ts"
import { sessionEnded } from "../../domain/Refusals.ts"
import type { Principal } from "../../domain/Session.ts"
import { AccessTokens } from "./AccessTokens.ts"
import type { ExternalSessions } from "./issuers/ExternalSessions.ts"
import { ExternalTokens } from "./issuers/ExternalTokens.ts"
import { makeCountFailure } from "./PasswordChecks.ts"
import type { RememberedTokens } from "./RememberedTokens.ts"
import type { Device } from "./Rows.ts"
import { SessionStorage } from "./SessionStorage.ts"

/** After so long the database is asked about an external token again, and notes that its session is in use. */
const externalRememberedFor = Duration.toMillis("1 day")

/** Makes `Sessions.authenticate`: a remembered token costs one look into a map, any other one a statement. */
export const makeAuthenticate = Effect.fnUntraced(function* (
  remembered: RememberedTokens,
  externalSession: ExternalSessions
) {
  const accessTokens = yield* AccessTokens
  const externalTokens = yield* ExternalTokens
  const storage = yield* SessionStorage
  const countFailure = yield* makeCountFailure

  const ownSession = Effect.fnUntraced(function* (accessToken: string) {
    const { expiresAt, ...claims } = yield* accessTokens.verify(accessToken)
    if (!(yield* storage.use(claims, yield* DateTime.nowAsDate))) return yield* sessionEnded
    const principal: Principal = { userId: claims.userId, sessionId: claims.sessionId, expiresAt }
    return principal
  })

  const verify = Effect.fn("Sessions.authenticate")(
    function* (accessToken: string, device: Device) {
      const endsBefore = remembered.ends()
      const external = yield* externalTokens.verify(accessToken)
      if (external === undefined) {
        const principal = yield* ownSession(accessToken)
        remembered.add(accessToken, principal, endsBefore)
        return principal
      }
      const until = (yield* Clock.currentTimeMillis) + externalRememberedFor
      const principal = yield* externalSession(external, device, true)
      remembered.add(accessToken, principal, endsBefore, until)
      return principal
    },
    Effect.tapError((error) => {
      if (error._tag === "Unauthenticated") return countFailure(error.code ?? "token-invalid")
      return error._tag === "Forbidden" ? countFailure("forbidden") : Effect.void
    })
  )

  return (accessToken: string, device: Device = { userAgent: "", ip: "" }) =>
    Effect.clockWith((clock): Effect.Effect<Principal, Unauthenticated | Forbidden | Unavailable> => {
      const principal = remembered.get(accessToken, clock.currentTimeMillisUnsafe())
      return principal === undefined ? verify(accessToken, device) : Effect.succeed(principal)
    })
})
