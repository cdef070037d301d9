import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { toPage } from "../domain/Page.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Drafts } from "../services/Drafts.ts"
import { Settings } from "../services/Settings.ts"
import { Api } from "./Api.ts"

export const layer = HttpApiBuilder.group(
  Api,
  "draft",
  Effect.fn(function* (handlers) {
    const drafts = yield* Drafts
    const { limits } = yield* Settings
    return handlers.handleAll({
      set: ({ params, payload }) => CurrentPrincipal.use(({ userId }) => drafts.set(userId, params.id, payload)),
      clear: ({ params }) => CurrentPrincipal.use(({ userId }) => drafts.clear(userId, params.id)),
      list: ({ query }) => CurrentPrincipal.use(({ userId }) => drafts.list(userId, toPage(query, limits.pageSize)))
    })
  })
)
