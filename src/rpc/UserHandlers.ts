import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { Accounts } from "../services/Accounts.ts"
import { Blocks } from "../services/Blocks.ts"
import { Conversations } from "../services/Conversations.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Settings } from "../services/Settings.ts"
import { Users } from "../services/Users.ts"
import { UserRpcs } from "./UserRpcs.ts"

export const layer = UserRpcs.toLayer(
  Effect.gen(function* () {
    const accounts = yield* Accounts
    const conversations = yield* Conversations
    const users = yield* Users
    const { pageSize } = (yield* Settings).limits
    const blocks = yield* Blocks
    return UserRpcs.of({
      "user.me": () => CurrentPrincipal.use(({ userId }) => users.me(userId)),
      "user.update": (change) => CurrentPrincipal.use(({ userId }) => users.update(userId, change)),
      "user.delete": ({ password }) => CurrentPrincipal.use((principal) => accounts.delete(principal, password)),
      "user.unread": () => CurrentPrincipal.use(({ userId }) => conversations.unread(userId)),
      "user.search": ({ query, ...page }) => users.search({ query, ...toPage(page, pageSize) }),
      "user.get": ({ userId }) => users.get(userId),
      "block.add": (blocked) => CurrentPrincipal.use(({ userId }) => blocks.add(userId, blocked.userId)),
      "block.remove": (blocked) => CurrentPrincipal.use(({ userId }) => blocks.remove(userId, blocked.userId)),
      "block.list": (page) => CurrentPrincipal.use(({ userId }) => blocks.list(userId, toPage(page, pageSize)))
    })
  })
)
