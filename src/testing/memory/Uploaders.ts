import { Effect, Layer } from "effect"
import { Uploaders } from "../../services/files/Uploaders.ts"
import { Memory } from "./State.ts"

/** The kinds of users in `Memory`. */
export const layerMemory = Layer.effect(
  Uploaders,
  Effect.map(Memory, ({ users }) =>
    Uploaders.of({ isGuest: (userId) => Effect.sync(() => users.get(userId)?.kind === "guest") })
  )
)
