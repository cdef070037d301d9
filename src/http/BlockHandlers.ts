import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { toPage } from "../domain/Page.ts"
import { Blocks } from "../services/Blocks.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Settings } from "../services/Settings.ts"
import { Api } from "./Api.ts"

export const layer = HttpApiBuilder.group(
  Api,
  "block",
  Effect.fn(function* (handlers) {
    const blocks = yield* Blocks
    const { limits } = yield* Settings
    return handlers.handleAll({
      add: ({ params }) => CurrentPrincipal.use(({ userId }) => blocks.add(userId, params.userId)),
      remove: ({ params }) => CurrentPrincipal.use(({ userId }) => blocks.remove(userId, params.userId)),
      list: ({ query }) => CurrentPrincipal.use(({ userId }) => blocks.list(userId, toPage(query, limits.pageSize)))
    })
  })
)
