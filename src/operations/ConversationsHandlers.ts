import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { ConversationChanges } from "../services/conversations/ConversationChanges.ts"
import { Conversations } from "../services/conversations/Conversations.ts"
import { Settings } from "../services/platform/Settings.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { Conversations as Declared } from "./Conversations.ts"
import { reportCreated } from "./Created.ts"
import { makeHeavyHandlers } from "./HeavyHandlers.ts"

/** Serves the operations of `Conversations`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const changes = yield* ConversationChanges
    const conversations = yield* Conversations
    const { pageSize } = (yield* Settings).limits
    const { asReader } = yield* makeHeavyHandlers

    const create = (...request: Parameters<typeof conversations.create>) =>
      conversations.create(...request).pipe(
        Effect.tap(({ created }) => reportCreated(created)),
        Effect.map(({ conversation }) => conversation)
      )

    return Declared.rpcs.of({
      // The key is not a part of the request: a repetition is compared with the first request without it.
      "conversation.create": asUser((userId, request) => {
        if (request.kind === "dm") return create(userId, request)
        const { idempotencyKey, ...group } = request
        return create(userId, group, idempotencyKey)
      }),
      "conversation.list": asReader(
        (userId, page) => conversations.list(userId, toPage(page, pageSize)),
        ({ lastMessage }) => lastMessage?.body
      ),
      "conversation.get": asUser((userId, { conversationId }) => conversations.get(userId, conversationId)),
      "conversation.update": asUser((userId, { conversationId, ...change }) =>
        changes.update(userId, conversationId, change)
      ),
      "conversation.removeAvatar": asUser((userId, { conversationId }) =>
        Effect.asVoid(changes.update(userId, conversationId, { avatarUrl: null }))
      ),
      "conversation.settings": asUser((userId, { conversationId, ...change }) =>
        changes.settings(userId, conversationId, change)
      )
    })
  })
)
