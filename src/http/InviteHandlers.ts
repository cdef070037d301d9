import { Effect, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Conversation } from "../domain/Conversation.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Invites } from "../services/Invites.ts"
import { Settings } from "../services/Settings.ts"
import { Api } from "./Api.ts"
import { toPageRequest } from "./Paging.ts"

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
      list: Effect.fnUntraced(function* ({ params, query }) {
        const { userId } = yield* CurrentPrincipal
        return yield* invites.list(userId, params.id, yield* toPageRequest(query, limits.pageSize))
      }),
      revoke: ({ params }) => CurrentPrincipal.use(({ userId }) => invites.revoke(userId, params.id, params.code)),
      accept: Effect.fnUntraced(function* ({ params }) {
        const { userId } = yield* CurrentPrincipal
        const { conversation, joined } = yield* invites.accept(userId, params.code)
        return HttpServerResponse.jsonUnsafe(yield* Effect.orDie(encode(conversation)), { status: joined ? 201 : 200 })
      })
    })
  })
)
