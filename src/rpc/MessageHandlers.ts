import { Effect } from "effect"
import { limitOf, toPage } from "../domain/Page.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Messages } from "../services/Messages.ts"
import { Search } from "../services/Search.ts"
import { Settings } from "../services/Settings.ts"
import { Sync } from "../services/Sync.ts"
import { MessageRpcs } from "./MessageRpcs.ts"

export const layer = MessageRpcs.toLayer(
  Effect.gen(function* () {
    const messages = yield* Messages
    const search = yield* Search
    const { sync } = yield* Sync
    const { pageSize } = (yield* Settings).limits
    return MessageRpcs.of({
      "message.send": ({ conversationId, ...message }) =>
        CurrentPrincipal.use(({ userId }) => messages.post(userId, conversationId, message)),
      "message.list": ({ conversationId, limit, ...place }) =>
        CurrentPrincipal.use(({ userId }) =>
          messages.list(userId, conversationId, { ...place, limit: limitOf(limit, pageSize) })
        ),
      "message.get": ({ conversationId, messageId }) =>
        CurrentPrincipal.use(({ userId }) => messages.get(userId, conversationId, messageId)),
      "message.search": (request) =>
        CurrentPrincipal.use(({ userId }) => search.messages(userId, request, toPage(request, pageSize))),
      "events.pull": ({ after = 0, conversationId, limit }) =>
        CurrentPrincipal.use(({ userId }) =>
          messages.events(userId, conversationId, { after, limit: limitOf(limit, pageSize) })
        ),
      "events.sync": (request) => CurrentPrincipal.use(({ userId }) => sync(userId, request))
    })
  })
)
