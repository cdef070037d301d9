import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { AccountAdmin } from "../services/admin/AccountAdmin.ts"
import { Settings } from "../services/platform/Settings.ts"
import { AccountAdmin as Declared } from "./AccountAdmin.ts"
import { actorOf, asService } from "./Callers.ts"

/** Serves the operations of `AccountAdmin`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const accounts = yield* AccountAdmin
    const { pageSize } = (yield* Settings).limits
    return Declared.rpcs.of({
      "admin.accounts": asService((_, { cursor, limit, ...filter }) =>
        accounts.list(
          filter,
          toPage({ ...(cursor !== undefined && { cursor }), ...(limit !== undefined && { limit }) }, pageSize)
        )
      ),
      "admin.account": asService((_, { userId }) => accounts.get(userId)),
      "admin.disable": asService((service, { userId }) => accounts.disable(actorOf(service), userId)),
      "admin.enable": asService((service, { userId }) => accounts.enable(actorOf(service), userId)),
      "admin.deleteAccount": asService((service, { messages, userId }) =>
        accounts.delete(actorOf(service), userId, messages)
      ),
      "admin.endSessions": asService((service, { userId }) => accounts.endSessions(actorOf(service), userId))
    })
  })
)
