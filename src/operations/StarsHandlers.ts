import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { Stars } from "../services/messages/Stars.ts"
import { Settings } from "../services/platform/Settings.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { makeHeavyHandlers } from "./HeavyHandlers.ts"
import { Stars as Declared } from "./Stars.ts"

/** Serves the operations of `Stars`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const stars = yield* Stars
    const { pageSize } = (yield* Settings).limits
    const { asReader } = yield* makeHeavyHandlers
    return Declared.rpcs.of({
      "message.star": asUser((userId, { conversationId, messageId }) => stars.add(userId, conversationId, messageId)),
      "message.unstar": asUser((userId, { conversationId, messageId }) =>
        stars.remove(userId, conversationId, messageId)
      ),
      "star.list": asReader(
        (userId, page) => stars.list(userId, toPage(page, pageSize)),
        ({ body }) => body
      )
    })
  })
)
