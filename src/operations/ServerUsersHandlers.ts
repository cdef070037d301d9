import { Effect } from "effect"
import { ServerUsers } from "../services/admin/ServerUsers.ts"
import { actorOf, asService } from "./Callers.ts"
import { ServerUsers as Declared } from "./ServerUsers.ts"

/** Serves the operations of `ServerUsers`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const users = yield* ServerUsers
    return Declared.rpcs.of({
      "server.upsertUser": asService((service, user) =>
        Effect.flatMap(users.upsert(actorOf(service), [user]), ([made]) =>
          Effect.fromNullishOr(made).pipe(Effect.orDie)
        )
      ),
      "server.upsertUsers": asService((service, { users: wanted }) =>
        Effect.map(users.upsert(actorOf(service), wanted), (items) => ({ items }))
      ),
      "server.getUser": asService((_, { externalId }) => users.get(externalId)),
      "server.deleteUser": asService(({ tokenId }, { externalId, messages }) =>
        users.delete(tokenId, externalId, messages)
      ),
      "server.createToken": asService(({ tokenId }, { externalId, ...token }) =>
        users.createToken(tokenId, externalId, token)
      ),
      "server.createBotToken": asService((service, { externalId, ...token }) =>
        users.createBotToken(actorOf(service), externalId, token)
      ),
      "server.revokeUser": asService(({ tokenId }, { externalId }) => users.revoke(tokenId, externalId))
    })
  })
)
