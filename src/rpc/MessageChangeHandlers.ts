import { Effect, Layer } from "effect"
import { toPage } from "../domain/Page.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { MessageChanges } from "../services/MessageChanges.ts"
import { Pins } from "../services/Pins.ts"
import { Reactions } from "../services/Reactions.ts"
import { Settings } from "../services/Settings.ts"
import { MessageChangeRpcs, ReactionRpcs } from "./MessageChangeRpcs.ts"

const change = MessageChangeRpcs.toLayer(
  Effect.gen(function* () {
    const changes = yield* MessageChanges
    const pins = yield* Pins
    const { pageSize } = (yield* Settings).limits
    return MessageChangeRpcs.of({
      "message.edit": ({ body, conversationId, messageId }) =>
        CurrentPrincipal.use(({ userId }) => changes.edit(userId, conversationId, messageId, { body })),
      "message.delete": ({ conversationId, messageId }) =>
        CurrentPrincipal.use(({ userId }) => changes.remove(userId, conversationId, messageId)),
      "message.hide": ({ conversationId, messageId }) =>
        CurrentPrincipal.use(({ userId }) => changes.hide(userId, conversationId, messageId)),
      "message.revisions": ({ conversationId, messageId, ...page }) =>
        CurrentPrincipal.use(({ userId }) =>
          changes.revisions(userId, conversationId, messageId, toPage(page, pageSize))
        ),
      "message.forward": ({ clientMessageId, conversationId, messageId, toConversationId }) =>
        CurrentPrincipal.use(({ userId }) =>
          changes.forward(userId, conversationId, messageId, { conversationId: toConversationId, clientMessageId })
        ),
      "message.pin": ({ conversationId, messageId }) =>
        CurrentPrincipal.use(({ userId }) => pins.add(userId, conversationId, messageId)),
      "message.unpin": ({ conversationId, messageId }) =>
        CurrentPrincipal.use(({ userId }) => pins.remove(userId, conversationId, messageId))
    })
  })
)

const reaction = ReactionRpcs.toLayer(
  Effect.gen(function* () {
    const pins = yield* Pins
    const reactions = yield* Reactions
    const { pageSize } = (yield* Settings).limits
    return ReactionRpcs.of({
      "reaction.add": ({ conversationId, emoji, messageId }) =>
        CurrentPrincipal.use(({ userId }) => reactions.add(userId, conversationId, messageId, emoji)),
      "reaction.remove": ({ conversationId, emoji, messageId }) =>
        CurrentPrincipal.use(({ userId }) => reactions.remove(userId, conversationId, messageId, emoji)),
      "pin.list": ({ conversationId, ...page }) =>
        CurrentPrincipal.use(({ userId }) => pins.list(userId, conversationId, toPage(page, pageSize)))
    })
  })
)

export const layer = Layer.mergeAll(change, reaction)
