import { Effect, Layer } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { limitOf, toPage } from "../domain/Page.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { MessageChanges } from "../services/MessageChanges.ts"
import { Messages } from "../services/Messages.ts"
import { Pins } from "../services/Pins.ts"
import { Polls } from "../services/Polls.ts"
import { Search } from "../services/Search.ts"
import { Settings } from "../services/Settings.ts"
import { Sync } from "../services/Sync.ts"
import { Api } from "./Api.ts"
import { EventStreams } from "./EventStreams.ts"

const message = HttpApiBuilder.group(
  Api,
  "message",
  Effect.fn(function* (handlers) {
    const changes = yield* MessageChanges
    const messages = yield* Messages
    const pins = yield* Pins
    const polls = yield* Polls
    const search = yield* Search
    const { limits } = yield* Settings
    return handlers.handleAll({
      send: ({ params, payload }) => CurrentPrincipal.use(({ userId }) => messages.post(userId, params.id, payload)),
      list: ({ params, query }) =>
        CurrentPrincipal.use(({ userId }) =>
          messages.list(userId, params.id, { ...query, limit: limitOf(query.limit, limits.pageSize) })
        ),
      get: ({ params }) => CurrentPrincipal.use(({ userId }) => messages.get(userId, params.id, params.messageId)),
      edit: ({ params, payload }) =>
        CurrentPrincipal.use(({ userId }) => changes.edit(userId, params.id, params.messageId, payload)),
      delete: ({ params, query }) =>
        CurrentPrincipal.use(({ userId }) =>
          query.for === "me"
            ? changes.hide(userId, params.id, params.messageId)
            : changes.remove(userId, params.id, params.messageId)
        ),
      revisions: ({ params, query }) =>
        CurrentPrincipal.use(({ userId }) =>
          changes.revisions(userId, params.id, params.messageId, toPage(query, limits.pageSize))
        ),
      forward: ({ params, payload }) =>
        CurrentPrincipal.use(({ userId }) => changes.forward(userId, params.id, params.messageId, payload)),
      pin: ({ params }) => CurrentPrincipal.use(({ userId }) => pins.add(userId, params.id, params.messageId)),
      unpin: ({ params }) => CurrentPrincipal.use(({ userId }) => pins.remove(userId, params.id, params.messageId)),
      search: ({ query }) =>
        CurrentPrincipal.use(({ userId }) => search.messages(userId, query, toPage(query, limits.pageSize))),
      vote: ({ params, payload }) =>
        CurrentPrincipal.use(({ userId }) => polls.vote(userId, params.id, params.messageId, payload.options)),
      unvote: ({ params }) => CurrentPrincipal.use(({ userId }) => polls.vote(userId, params.id, params.messageId, []))
    })
  })
)

const event = HttpApiBuilder.group(
  Api,
  "events",
  Effect.fn(function* (handlers) {
    const messages = yield* Messages
    const streams = yield* EventStreams
    const { sync } = yield* Sync
    const { limits } = yield* Settings
    return handlers.handleAll({
      pull: ({ params, query }) =>
        CurrentPrincipal.use(({ userId }) =>
          messages.events(userId, params.id, { after: query.after ?? 0, limit: limitOf(query.limit, limits.pageSize) })
        ),
      sync: ({ payload }) => CurrentPrincipal.use(({ userId }) => sync(userId, payload)),
      stream: ({ headers }) => CurrentPrincipal.use((principal) => streams.open(principal, headers["last-event-id"]))
    })
  })
)

export const layer = Layer.mergeAll(message, event)
