import { Effect } from "effect"
import { ConversationAdmin } from "../services/admin/ConversationAdmin.ts"
import { actorOf, asService } from "./Callers.ts"
import { ConversationAdmin as Declared } from "./ConversationAdmin.ts"

/** Serves the operations of `ConversationAdmin`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const conversations = yield* ConversationAdmin
    return Declared.rpcs.of({
      "admin.deleteConversation": asService((service, { conversationId }) =>
        conversations.delete(actorOf(service), conversationId)
      )
    })
  })
)
