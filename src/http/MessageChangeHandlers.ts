import { Effect, Layer } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Pins } from "../services/Pins.ts"
import { Reactions } from "../services/Reactions.ts"
import { Settings } from "../services/Settings.ts"
import { Api } from "./Api.ts"
import { toPageRequest } from "./Paging.ts"

const pin = HttpApiBuilder.group(
  Api,
  "pin",
  Effect.fn(function* (handlers) {
    const pins = yield* Pins
    const { limits } = yield* Settings
    return handlers.handleAll({
      list: Effect.fnUntraced(function* ({ params, query }) {
        const { userId } = yield* CurrentPrincipal
        return yield* pins.list(userId, params.id, yield* toPageRequest(query, limits.pageSize))
      })
    })
  })
)

const reaction = HttpApiBuilder.group(
  Api,
  "reaction",
  Effect.fn(function* (handlers) {
    const reactions = yield* Reactions
    return handlers.handleAll({
      add: ({ params }) =>
        CurrentPrincipal.use(({ userId }) => reactions.add(userId, params.id, params.messageId, params.emoji)),
      remove: ({ params }) =>
        CurrentPrincipal.use(({ userId }) => reactions.remove(userId, params.id, params.messageId, params.emoji))
    })
  })
)

export const layer = Layer.mergeAll(pin, reaction)
