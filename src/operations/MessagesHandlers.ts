import { Effect } from "effect"
import { limitOf, toPage } from "../domain/Page.ts"
import { programOf } from "../domain/Session.ts"
import { MessageChanges } from "../services/messages/MessageChanges.ts"
import { Messages } from "../services/messages/Messages.ts"
import { Shedding } from "../services/platform/load/Shedding.ts"
import { Settings } from "../services/platform/Settings.ts"
import { CurrentPrincipal } from "./Callers.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { makeHeavyHandlers } from "./HeavyHandlers.ts"
import { Messages as Declared } from "./Messages.ts"

/** Serves the operations of `Messages`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const changes = yield* MessageChanges
    const messages = yield* Messages
    const { pageSize } = (yield* Settings).limits
    const { asReader } = yield* makeHeavyHandlers
    const takesSends = (yield* Shedding).check("sends")
    return Declared.rpcs.of({
      "message.send": ({ conversationId, ...message }) =>
        Effect.flatMap(CurrentPrincipal, (me) =>
          Effect.andThen(takesSends, messages.post(me.userId, conversationId, message, programOf(me) !== undefined))
        ),
      "message.list": asReader(
        (userId, { conversationId, limit, ...place }) =>
          messages.list(userId, conversationId, { ...place, limit: limitOf(limit, pageSize) }),
        ({ body }) => body
      ),
      "message.get": asUser((userId, { conversationId, messageId }) => messages.get(userId, conversationId, messageId)),
      "message.edit": asUser((userId, { conversationId, messageId, ...edit }) =>
        changes.edit(userId, conversationId, messageId, edit)
      ),
      "message.delete": asUser((userId, { conversationId, messageId }) =>
        changes.delete(userId, conversationId, messageId)
      ),
      "message.hide": asUser((userId, { conversationId, messageId }) =>
        changes.hide(userId, conversationId, messageId)
      ),
      "message.revisions": asReader(
        (userId, { conversationId, messageId, ...page }) =>
          changes.revisions(userId, conversationId, messageId, toPage(page, pageSize)),
        ({ body }) => body
      ),
      "message.forward": asUser((userId, { clientMessageId, conversationId, messageId, toConversationId }) =>
        Effect.andThen(
          takesSends,
          changes.forward(userId, conversationId, messageId, { conversationId: toConversationId, clientMessageId })
        )
      )
    })
  })
)
