import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { toPage } from "../domain/Page.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { ScheduledMessages } from "../services/ScheduledMessages.ts"
import { Settings } from "../services/Settings.ts"
import { Api } from "./Api.ts"

export const layer = HttpApiBuilder.group(
  Api,
  "scheduled",
  Effect.fn(function* (handlers) {
    const scheduled = yield* ScheduledMessages
    const { limits } = yield* Settings
    return handlers.handleAll({
      create: ({ headers, payload }) =>
        CurrentPrincipal.use(({ userId }) => scheduled.create(userId, payload, headers["idempotency-key"])),
      list: ({ query }) => CurrentPrincipal.use(({ userId }) => scheduled.list(userId, toPage(query, limits.pageSize))),
      get: ({ params }) => CurrentPrincipal.use(({ userId }) => scheduled.get(userId, params.id)),
      update: ({ params, payload }) =>
        CurrentPrincipal.use(({ userId }) => scheduled.update(userId, params.id, payload)),
      cancel: ({ params }) => CurrentPrincipal.use(({ userId }) => scheduled.cancel(userId, params.id))
    })
  })
)
