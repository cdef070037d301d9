import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { ScheduledMessages } from "../services/ScheduledMessages.ts"
import { Settings } from "../services/Settings.ts"
import { ScheduledMessageRpcs } from "./ScheduledMessageRpcs.ts"

export const layer = ScheduledMessageRpcs.toLayer(
  Effect.gen(function* () {
    const scheduled = yield* ScheduledMessages
    const { pageSize } = (yield* Settings).limits
    return ScheduledMessageRpcs.of({
      "scheduled.create": ({ idempotencyKey, ...message }) =>
        CurrentPrincipal.use(({ userId }) => scheduled.create(userId, message, idempotencyKey)),
      "scheduled.list": (page) => CurrentPrincipal.use(({ userId }) => scheduled.list(userId, toPage(page, pageSize))),
      "scheduled.get": ({ scheduledMessageId }) =>
        CurrentPrincipal.use(({ userId }) => scheduled.get(userId, scheduledMessageId)),
      "scheduled.update": ({ scheduledMessageId, ...change }) =>
        CurrentPrincipal.use(({ userId }) => scheduled.update(userId, scheduledMessageId, change)),
      "scheduled.cancel": ({ scheduledMessageId }) =>
        CurrentPrincipal.use(({ userId }) => scheduled.cancel(userId, scheduledMessageId))
    })
  })
)
