import { Effect, Layer } from "effect"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Sessions } from "../services/Sessions.ts"
import { Users } from "../services/Users.ts"
import { AccountRpcs, SessionRpcs } from "./AuthRpcs.ts"
import { CurrentDevice } from "./Callers.ts"

const account = AccountRpcs.toLayer(
  Effect.gen(function* () {
    const sessions = yield* Sessions
    const users = yield* Users
    return AccountRpcs.of({
      "auth.register": (registration) => CurrentDevice.use(({ ip }) => users.register({ ...registration, ip })),
      "auth.login": (login) => CurrentDevice.use((device) => sessions.login({ ...login, ...device })),
      "auth.refresh": (refresh) => CurrentDevice.use((device) => sessions.refresh({ ...refresh, ...device }))
    })
  })
)

const session = SessionRpcs.toLayer(
  Effect.gen(function* () {
    const sessions = yield* Sessions
    return SessionRpcs.of({
      "auth.logout": () => CurrentPrincipal.use((principal) => sessions.logout(principal)),
      "auth.password": (change) => CurrentPrincipal.use((principal) => sessions.changePassword(principal, change)),
      "session.list": () =>
        CurrentPrincipal.use((principal) => Effect.map(sessions.list(principal), (items) => ({ items }))),
      "session.end": ({ sessionId }) => CurrentPrincipal.use((principal) => sessions.end(principal, sessionId))
    })
  })
)

export const layer = Layer.mergeAll(account, session)
