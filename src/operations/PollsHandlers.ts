import { Effect } from "effect"
import { Polls } from "../services/messages/Polls.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { Polls as Declared } from "./Polls.ts"

/** Serves the operations of `Polls`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const polls = yield* Polls
    return Declared.rpcs.of({
      "message.vote": asUser((userId, { conversationId, messageId, options }) =>
        polls.vote(userId, conversationId, messageId, options)
      ),
      "message.unvote": asUser((userId, { conversationId, messageId }) =>
        polls.vote(userId, conversationId, messageId, [])
      )
    })
  })
)
