import { Effect } from "effect"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Presence } from "../services/Presence.ts"
import { PresenceRpcs } from "./PresenceRpcs.ts"

export const layer = PresenceRpcs.toLayer(
  Effect.gen(function* () {
    const presence = yield* Presence
    return PresenceRpcs.of({
      "presence.get": ({ userIds }) =>
        CurrentPrincipal.use(({ userId }) => Effect.map(presence.get(userId, userIds), (items) => ({ items }))),
      "presence.set": ({ status }) => CurrentPrincipal.use(({ userId }) => presence.set(userId, status))
    })
  })
)
