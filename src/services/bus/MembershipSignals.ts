import { Effect } from "effect"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import { membershipChanged, PubSub } from "./PubSub.ts"
import { userSubject } from "./Subjects.ts"

/** Makes the function that signals the gateways of these users, each on its own subject, to read that membership again. */
export const makeMembershipSignals = Effect.map(
  PubSub,
  (pubsub) => (conversationId: ConversationId, userIds: ReadonlyArray<UserId>) =>
    Effect.forEach(userIds, (id) => pubsub.publish(userSubject(id), [membershipChanged(conversationId)]), {
      discard: true
    })
)
