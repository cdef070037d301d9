import { Effect } from "effect"
import { Typing } from "../services/presence/Typing.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { Typing as Declared } from "./Typing.ts"

/** Serves the operations of `Typing`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const typing = yield* Typing
    return Declared.rpcs.of({
      "typing.start": asUser((userId, { conversationId }) => typing.start(userId, conversationId)),
      "typing.stop": asUser((userId, { conversationId }) => typing.stop(userId, conversationId))
    })
  })
)
