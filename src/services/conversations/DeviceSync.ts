import { Effect } from "effect"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import { encodeEphemeral, PubSub } from "../bus/PubSub.ts"
import { userSubject } from "../bus/Subjects.ts"
import { Conversations } from "./Conversations.ts"

/**
 * Makes a function that publishes a member's own state in a conversation to the member's own devices, after it has
 * changed. It succeeds with that state, and fails with `NotFound` for non-members.
 */
export const makeDeviceSync = Effect.gen(function* () {
  const conversations = yield* Conversations
  const pubsub = yield* PubSub
  return Effect.fnUntraced(function* (userId: UserId, conversationId: ConversationId) {
    const { me } = yield* conversations.get(userId, conversationId)
    yield* pubsub.publish(userSubject(userId), [
      encodeEphemeral({ event: "conversation.settings", conversationId, data: { me } })
    ])
    return me
  })
})
