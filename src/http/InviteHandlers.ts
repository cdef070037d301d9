import { Effect, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Conversation } from "../domain/Conversation.ts"
import { toPage } from "../domain/Page.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Invites } from "../services/Invites.ts"
import { Settings } from "../services/Settings.ts"
import { Api } from "./Api.ts"

const encode = Schema.encodeEffect(Conversation)

export const layer = HttpApiBuilder.group(
  Api,
  "invite",
  Effect.fn(function* (handlers) {
    const invites = yield* Invites
    const { limits } = yield* Settings
    return handlers.handleAll({
      create: ({ headers, params, payload }) =>
        CurrentPrincipal.use(({ userId }) =>
          invites.create(userId, params.id, payload ?? {}, headers["idempotency-key"])
        ),
      list: ({ params, query }) =>
        CurrentPrincipal.use(({ userId }) => invites.list(userId, params.id, toPage(query, limits.pageSize))),
      revoke: ({ params }) => CurrentPrincipal.use(({ userId }) => invites.revoke(userId, params.id, params.code)),
      accept: Effect.fnUntraced(function* ({ params }) {
        const { userId } = yield* CurrentPrincipal
        const { conversation, joined } = yield* invites.accept(userId, params.code)
        return HttpServerResponse.jsonUnsafe(yield* Effect.orDie(encode(conversation)), { status: joined ? 201 : 200 })
      })
    })
  })
)
