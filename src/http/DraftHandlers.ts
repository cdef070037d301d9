import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Drafts } from "../services/Drafts.ts"
import { Settings } from "../services/Settings.ts"
import { Api } from "./Api.ts"
import { toPageRequest } from "./Paging.ts"

export const layer = HttpApiBuilder.group(
  Api,
  "draft",
  Effect.fn(function* (handlers) {
    const drafts = yield* Drafts
    const { limits } = yield* Settings
    return handlers.handleAll({
      set: ({ params, payload }) => CurrentPrincipal.use(({ userId }) => drafts.set(userId, params.id, payload)),
      clear: ({ params }) => CurrentPrincipal.use(({ userId }) => drafts.clear(userId, params.id)),
      list: Effect.fnUntraced(function* ({ query }) {
        const { userId } = yield* CurrentPrincipal
        return yield* drafts.list(userId, yield* toPageRequest(query, limits.pageSize))
      })
    })
  })
)
