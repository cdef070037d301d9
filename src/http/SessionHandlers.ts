import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Sessions } from "../services/Sessions.ts"
import { Api } from "./Api.ts"

export const layer = HttpApiBuilder.group(
  Api,
  "session",
  Effect.fn(function* (handlers) {
    const sessions = yield* Sessions
    return handlers.handleAll({
      list: Effect.fnUntraced(function* () {
        return { items: yield* sessions.list(yield* CurrentPrincipal) }
      }),
      end: Effect.fnUntraced(function* ({ params }) {
        yield* sessions.end(yield* CurrentPrincipal, params.id)
      })
    })
  })
)
