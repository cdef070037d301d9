import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { Pins } from "../services/messages/Pins.ts"
import { Settings } from "../services/platform/Settings.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { makeHeavyHandlers } from "./HeavyHandlers.ts"
import { Pins as Declared } from "./Pins.ts"

/** Serves the operations of `Pins`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const pins = yield* Pins
    const { pageSize } = (yield* Settings).limits
    const { asReader } = yield* makeHeavyHandlers
    return Declared.rpcs.of({
      "message.pin": asUser((userId, { conversationId, messageId }) => pins.add(userId, conversationId, messageId)),
      "message.unpin": asUser((userId, { conversationId, messageId }) =>
        pins.remove(userId, conversationId, messageId)
      ),
      "pin.list": asReader(
        (userId, { conversationId, ...page }) => pins.list(userId, conversationId, toPage(page, pageSize)),
        ({ body }) => body
      )
    })
  })
)
