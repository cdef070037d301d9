import { Effect } from "effect"
import { limitOf } from "../domain/Page.ts"
import { Conversations } from "../services/Conversations.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Settings } from "../services/Settings.ts"
import { Users } from "../services/Users.ts"
import { UserRpcs } from "./UserRpcs.ts"

export const layer = UserRpcs.toLayer(
  Effect.gen(function* () {
    const conversations = yield* Conversations
    const users = yield* Users
    const { limits } = yield* Settings
    return UserRpcs.of({
      "user.me": () => CurrentPrincipal.use(({ userId }) => users.me(userId)),
      "user.update": (change) => CurrentPrincipal.use(({ userId }) => users.update(userId, change)),
      "user.unread": () => CurrentPrincipal.use(({ userId }) => conversations.unread(userId)),
      "user.search": ({ limit, ...search }) => users.search({ ...search, limit: limitOf(limit, limits.pageSize) }),
      "user.get": ({ userId }) => users.get(userId)
    })
  })
)
