import { Effect } from "effect"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import { Conversations } from "./Conversations.ts"
import { encodeEphemeral, PubSub, userSubject } from "./PubSub.ts"

/** Tells a user's own devices how his side of a conversation is now, after it has changed. */
export const makeTellDevices = Effect.gen(function* () {
  const conversations = yield* Conversations
  const pubsub = yield* PubSub
  return Effect.fnUntraced(function* (userId: UserId, conversationId: ConversationId) {
    const { me } = yield* conversations.get(userId, conversationId)
    yield* pubsub.publish(userSubject(userId), [
      encodeEphemeral({ event: "conversation.settings", conversationId, data: { me } })
    ])
  })
})
