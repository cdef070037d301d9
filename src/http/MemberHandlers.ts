import { Effect, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Member } from "../domain/Conversation.ts"
import { toPage } from "../domain/Page.ts"
import { Conversations } from "../services/Conversations.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Members } from "../services/Members.ts"
import { Settings } from "../services/Settings.ts"
import { Api } from "./Api.ts"

const encode = Schema.encodeEffect(Schema.Array(Member))

export const layer = HttpApiBuilder.group(
  Api,
  "member",
  Effect.fn(function* (handlers) {
    const conversations = yield* Conversations
    const members = yield* Members
    const { limits } = yield* Settings
    return handlers.handleAll({
      list: ({ params, query }) =>
        CurrentPrincipal.use(({ userId }) => conversations.members(userId, params.id, toPage(query, limits.pageSize))),
      add: Effect.fnUntraced(function* ({ params, payload }) {
        const { userId } = yield* CurrentPrincipal
        const { added, items } = yield* members.add(userId, params.id, payload.userIds)
        return HttpServerResponse.jsonUnsafe(
          { items: yield* Effect.orDie(encode(items)) },
          { status: added ? 201 : 200 }
        )
      }),
      update: ({ params, payload }) =>
        CurrentPrincipal.use(({ userId }) => members.update(userId, params.id, params.userId, payload.role)),
      leave: ({ params }) => CurrentPrincipal.use(({ userId }) => members.leave(userId, params.id)),
      remove: ({ params }) => CurrentPrincipal.use(({ userId }) => members.remove(userId, params.id, params.userId))
    })
  })
)
