import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { toPage } from "../domain/Page.ts"
import { Accounts } from "../services/Accounts.ts"
import { Conversations } from "../services/Conversations.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Settings } from "../services/Settings.ts"
import { Users } from "../services/Users.ts"
import { Api } from "./Api.ts"

export const layer = HttpApiBuilder.group(
  Api,
  "user",
  Effect.fn(function* (handlers) {
    const accounts = yield* Accounts
    const conversations = yield* Conversations
    const users = yield* Users
    const { limits } = yield* Settings
    return handlers.handleAll({
      me: () => CurrentPrincipal.use(({ userId }) => users.me(userId)),
      update: ({ payload }) => CurrentPrincipal.use(({ userId }) => users.update(userId, payload)),
      delete: ({ payload }) => CurrentPrincipal.use((principal) => accounts.delete(principal, payload.password)),
      unread: () => CurrentPrincipal.use(({ userId }) => conversations.unread(userId)),
      search: ({ query }) => users.search({ ...toPage(query, limits.pageSize), query: query.query }),
      get: ({ params }) => users.get(params.id)
    })
  })
)
