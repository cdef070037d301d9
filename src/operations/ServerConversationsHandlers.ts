import { Effect } from "effect"
import { ServerConversations } from "../services/admin/ServerConversations.ts"
import { asService } from "./Callers.ts"
import { ServerConversations as Declared } from "./ServerConversations.ts"

/** Serves the operations of `ServerConversations`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const conversations = yield* ServerConversations
    return Declared.rpcs.of({
      "server.upsertConversation": asService(({ tokenId }, { externalKey, ...group }) =>
        conversations.upsert(tokenId, externalKey, group)
      ),
      "server.getConversation": asService((_, { externalKey }) => conversations.get(externalKey))
    })
  })
)
