import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { ScheduledMessages } from "../services/messages/ScheduledMessages.ts"
import { Settings } from "../services/platform/Settings.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { makeHeavyHandlers } from "./HeavyHandlers.ts"
import { ScheduledMessages as Declared } from "./ScheduledMessages.ts"

/** Serves the operations of `ScheduledMessages`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const scheduled = yield* ScheduledMessages
    const { asReader } = yield* makeHeavyHandlers
    const { pageSize } = (yield* Settings).limits
    return Declared.rpcs.of({
      "scheduled.create": asUser((userId, { idempotencyKey, ...message }) =>
        scheduled.create(userId, message, idempotencyKey)
      ),
      "scheduled.list": asReader(
        (userId, page) => scheduled.list(userId, toPage(page, pageSize)),
        ({ body }) => body
      ),
      "scheduled.get": asUser((userId, { scheduledMessageId }) => scheduled.get(userId, scheduledMessageId)),
      "scheduled.update": asUser((userId, { scheduledMessageId, ...change }) =>
        scheduled.update(userId, scheduledMessageId, change)
      ),
      "scheduled.cancel": asUser((userId, { scheduledMessageId }) => scheduled.cancel(userId, scheduledMessageId))
    })
  })
)
