import { Effect } from "effect"
import { limitOf } from "../domain/Page.ts"
import { Threads } from "../services/messages/Threads.ts"
import { Settings } from "../services/platform/Settings.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { makeHeavyHandlers } from "./HeavyHandlers.ts"
import { Threads as Declared } from "./Threads.ts"

/** Serves the operations of `Threads`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const threads = yield* Threads
    const { pageSize } = (yield* Settings).limits
    const { asReader } = yield* makeHeavyHandlers
    return Declared.rpcs.of({
      "thread.list": asReader(
        (userId, { conversationId, limit, messageId, ...place }) =>
          threads.list(userId, conversationId, messageId, { ...place, limit: limitOf(limit, pageSize) }),
        ({ body }) => body
      ),
      "thread.mark": asUser((userId, { conversationId, messageId, seq }) =>
        threads.mark(userId, conversationId, messageId, seq)
      )
    })
  })
)
