import { Effect } from "effect"
import { Reactions } from "../services/messages/Reactions.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { Reactions as Declared } from "./Reactions.ts"

/** Serves the operations of `Reactions`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const reactions = yield* Reactions
    return Declared.rpcs.of({
      "reaction.add": asUser((userId, { conversationId, emoji, messageId }) =>
        reactions.add(userId, conversationId, messageId, emoji)
      ),
      "reaction.remove": asUser((userId, { conversationId, emoji, messageId }) =>
        reactions.remove(userId, conversationId, messageId, emoji)
      )
    })
  })
)
