import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Settings } from "../services/Settings.ts"
import { Threads } from "../services/Threads.ts"
import { Api } from "./Api.ts"
import { toPageRequest } from "./Paging.ts"

export const layer = HttpApiBuilder.group(
  Api,
  "thread",
  Effect.fn(function* (handlers) {
    const threads = yield* Threads
    const { limits } = yield* Settings
    return handlers.handleAll({
      list: Effect.fnUntraced(function* ({ params, query }) {
        const { userId } = yield* CurrentPrincipal
        const { limit } = yield* toPageRequest(query, limits.pageSize)
        return yield* threads.list(userId, params.id, params.messageId, { ...query, limit })
      }),
      mark: ({ params, payload }) =>
        CurrentPrincipal.use(({ userId }) => threads.mark(userId, params.id, params.messageId, payload.seq))
    })
  })
)
