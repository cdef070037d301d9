import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { Search } from "../services/messages/search/Search.ts"
import { Settings } from "../services/platform/Settings.ts"
import { makeHeavyHandlers } from "./HeavyHandlers.ts"
import { Search as Declared } from "./Search.ts"

/** Serves the operations of `Search`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const search = yield* Search
    const { pageSize } = (yield* Settings).limits
    const { asSearcher } = yield* makeHeavyHandlers
    return Declared.rpcs.of({
      "message.search": asSearcher(
        (userId, request) => search.messages(userId, request, toPage(request, pageSize)),
        ({ body }) => body
      )
    })
  })
)
