import { Effect } from "effect"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import { membershipChanged, PubSub, userSubject } from "./PubSub.ts"

/** Tells the gateways of these users, each on his own subject, to read that membership again. */
export const makeMembershipSignals = Effect.map(
  PubSub,
  (pubsub) => (conversationId: ConversationId, userIds: ReadonlyArray<UserId>) =>
    Effect.forEach(userIds, (id) => pubsub.publish(userSubject(id), [membershipChanged(conversationId)]), {
      discard: true
    })
)
