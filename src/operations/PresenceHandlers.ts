import { Effect } from "effect"
import { Presence } from "../services/presence/Presence.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { Presence as Declared } from "./Presence.ts"

/** Serves the operations of `Presence`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const presence = yield* Presence
    return Declared.rpcs.of({
      "presence.get": asUser((userId, { userIds }) =>
        Effect.map(presence.get(userId, userIds), (items) => ({ items }))
      ),
      "presence.set": asUser((userId, { status }) => presence.set(userId, status))
    })
  })
)
