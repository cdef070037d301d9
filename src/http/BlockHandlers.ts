import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Blocks } from "../services/Blocks.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Settings } from "../services/Settings.ts"
import { Api } from "./Api.ts"
import { toPageRequest } from "./Paging.ts"

export const layer = HttpApiBuilder.group(
  Api,
  "block",
  Effect.fn(function* (handlers) {
    const blocks = yield* Blocks
    const { limits } = yield* Settings
    return handlers.handleAll({
      add: ({ params }) => CurrentPrincipal.use(({ userId }) => blocks.add(userId, params.userId)),
      remove: ({ params }) => CurrentPrincipal.use(({ userId }) => blocks.remove(userId, params.userId)),
      list: Effect.fnUntraced(function* ({ query }) {
        const { userId } = yield* CurrentPrincipal
        return yield* blocks.list(userId, yield* toPageRequest(query, limits.pageSize))
      })
    })
  })
)
