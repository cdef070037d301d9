import { Effect, Layer } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { toPage } from "../domain/Page.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Pins } from "../services/Pins.ts"
import { Reactions } from "../services/Reactions.ts"
import { Settings } from "../services/Settings.ts"
import { Api } from "./Api.ts"

const pin = HttpApiBuilder.group(
  Api,
  "pin",
  Effect.fn(function* (handlers) {
    const pins = yield* Pins
    const { limits } = yield* Settings
    return handlers.handleAll({
      list: ({ params, query }) =>
        CurrentPrincipal.use(({ userId }) => pins.list(userId, params.id, toPage(query, limits.pageSize)))
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
