import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { limitOf } from "../domain/Page.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Settings } from "../services/Settings.ts"
import { Threads } from "../services/Threads.ts"
import { Api } from "./Api.ts"

export const layer = HttpApiBuilder.group(
  Api,
  "thread",
  Effect.fn(function* (handlers) {
    const threads = yield* Threads
    const { limits } = yield* Settings
    return handlers.handleAll({
      list: ({ params, query }) =>
        CurrentPrincipal.use(({ userId }) =>
          threads.list(userId, params.id, params.messageId, { ...query, limit: limitOf(query.limit, limits.pageSize) })
        ),
      mark: ({ params, payload }) =>
        CurrentPrincipal.use(({ userId }) => threads.mark(userId, params.id, params.messageId, payload.seq))
    })
  })
)
