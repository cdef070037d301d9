import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { Conversations } from "../services/Conversations.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Settings } from "../services/Settings.ts"
import { Typing } from "../services/Typing.ts"
import { ConversationRpcs } from "./ConversationRpcs.ts"

export const layer = ConversationRpcs.toLayer(
  Effect.gen(function* () {
    const conversations = yield* Conversations
    const typing = yield* Typing
    const { pageSize } = (yield* Settings).limits
    return ConversationRpcs.of({
      "conversation.create": (conversation) =>
        CurrentPrincipal.use(({ userId }) => {
          const key = conversation.kind === "group" ? conversation.idempotencyKey : undefined
          return Effect.map(conversations.create(userId, conversation, key), (answer) => answer.conversation)
        }),
      "conversation.list": (page) =>
        CurrentPrincipal.use(({ userId }) => conversations.list(userId, toPage(page, pageSize))),
      "conversation.get": ({ conversationId }) =>
        CurrentPrincipal.use(({ userId }) => conversations.get(userId, conversationId)),
      "member.list": ({ conversationId, ...page }) =>
        CurrentPrincipal.use(({ userId }) => conversations.members(userId, conversationId, toPage(page, pageSize))),
      "read.mark": ({ conversationId, ...mark }) =>
        CurrentPrincipal.use(({ userId }) => conversations.markRead(userId, conversationId, mark)),
      "delivered.mark": ({ conversationId, seq }) =>
        CurrentPrincipal.use(({ userId }) => conversations.markDelivered(userId, conversationId, seq)),
      "typing.start": ({ conversationId }) =>
        CurrentPrincipal.use(({ userId }) => typing.start(userId, conversationId)),
      "typing.stop": ({ conversationId }) => CurrentPrincipal.use(({ userId }) => typing.stop(userId, conversationId))
    })
  })
)
