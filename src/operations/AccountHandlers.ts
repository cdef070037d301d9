import { Effect } from "effect"
import { AccountOpening } from "../services/conversations/AccountOpening.ts"
import { Sessions } from "../services/identity/Sessions.ts"
import { Shedding } from "../services/platform/load/Shedding.ts"
import { Account as Declared } from "./Account.ts"
import { asDevice, asPrincipal } from "./Callers.ts"

/** Serves the operations of `Account`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const sessions = yield* Sessions
    const accounts = yield* AccountOpening
    const admitted = (yield* Shedding).check("connections")
    return Declared.rpcs.of({
      "auth.register": asDevice(({ ip }, registration) =>
        Effect.andThen(admitted, accounts.register({ ...registration, ip }))
      ),
      "auth.login": asDevice((device, login) => Effect.andThen(admitted, sessions.login({ ...login, ...device }))),
      "auth.exchange": asDevice((device, { subject_token }) =>
        Effect.map(
          Effect.andThen(admitted, sessions.exchange(subject_token, device)),
          ({ accessToken, expiresIn, refreshToken, sessionId, user }) => ({
            access_token: accessToken,
            issued_token_type: "urn:ietf:params:oauth:token-type:access_token" as const,
            token_type: "Bearer" as const,
            expires_in: expiresIn,
            refresh_token: refreshToken,
            user,
            sessionId
          })
        )
      ),
      "auth.refresh": asDevice((device, refresh) => sessions.refresh({ ...refresh, ...device })),
      "auth.logout": asPrincipal((principal) => sessions.logout(principal)),
      "auth.password": asPrincipal((principal, change) => sessions.changePassword(principal, change))
    })
  })
)
