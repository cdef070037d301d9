import { Effect, Schema } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { UserId } from "../domain/Ids.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Presence } from "../services/Presence.ts"
import { Api } from "./Api.ts"

const decodeIds = Schema.decodeSync(Schema.Array(UserId))

export const layer = HttpApiBuilder.group(
  Api,
  "presence",
  Effect.fn(function* (handlers) {
    const presence = yield* Presence
    return handlers.handleAll({
      get: Effect.fnUntraced(function* ({ query }) {
        const { userId } = yield* CurrentPrincipal
        const ids = [query.userIds]
          .flat()
          .flatMap((text) => text.split(","))
          .filter((text) => text !== "")
        return { items: yield* presence.get(userId, decodeIds(ids)) }
      }),
      set: ({ payload }) => CurrentPrincipal.use(({ userId }) => presence.set(userId, payload.status))
    })
  })
)
