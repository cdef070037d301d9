import { Effect, Layer, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Conversation } from "../domain/Conversation.ts"
import { toPage } from "../domain/Page.ts"
import { ConversationChanges } from "../services/ConversationChanges.ts"
import { Conversations } from "../services/Conversations.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Settings } from "../services/Settings.ts"
import { Typing } from "../services/Typing.ts"
import { Api } from "./Api.ts"

const encode = Schema.encodeEffect(Conversation)

const conversation = HttpApiBuilder.group(
  Api,
  "conversation",
  Effect.fn(function* (handlers) {
    const changes = yield* ConversationChanges
    const conversations = yield* Conversations
    const { limits } = yield* Settings
    return handlers.handleAll({
      create: Effect.fnUntraced(function* ({ headers, payload }) {
        const { userId } = yield* CurrentPrincipal
        const { conversation, created } = yield* conversations.create(userId, payload, headers["idempotency-key"])
        // Only the status tells a new one from an old one, and a Schema cannot choose by that.
        return HttpServerResponse.jsonUnsafe(yield* Effect.orDie(encode(conversation)), { status: created ? 201 : 200 })
      }),
      list: ({ query }) =>
        CurrentPrincipal.use(({ userId }) => conversations.list(userId, toPage(query, limits.pageSize))),
      get: ({ params }) => CurrentPrincipal.use(({ userId }) => conversations.get(userId, params.id)),
      update: ({ params, payload }) => CurrentPrincipal.use(({ userId }) => changes.update(userId, params.id, payload)),
      settings: ({ params, payload }) =>
        CurrentPrincipal.use(({ userId }) => changes.settings(userId, params.id, payload))
    })
  })
)

const read = HttpApiBuilder.group(
  Api,
  "read",
  Effect.fn(function* (handlers) {
    const conversations = yield* Conversations
    return handlers.handleAll({
      mark: ({ params, payload }) =>
        CurrentPrincipal.use(({ userId }) => conversations.markRead(userId, params.id, payload))
    })
  })
)

const typing = HttpApiBuilder.group(
  Api,
  "typing",
  Effect.fn(function* (handlers) {
    const typing = yield* Typing
    return handlers.handleAll({
      start: ({ params, payload }) =>
        CurrentPrincipal.use(({ userId }) =>
          payload?.state === "stopped" ? typing.stop(userId, params.id) : typing.start(userId, params.id)
        )
    })
  })
)

export const layer = Layer.mergeAll(conversation, read, typing)
