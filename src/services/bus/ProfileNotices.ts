import { Effect } from "effect"
import type { User } from "../../domain/User.ts"
import { encodeEphemeral, PubSub } from "./PubSub.ts"
import { presenceSubject, userSubject } from "./Subjects.ts"

/**
 * Makes a function that tells a profile to the user's own devices and to the sockets that watch the user's presence, unless
 * it is as before. These are two publications, in however many conversations the user is.
 */
export const makeProfileNotices = Effect.map(PubSub, (pubsub) => (before: User | undefined, user: User) => {
  if (JSON.stringify(before) === JSON.stringify(user)) return Effect.void
  const events = [encodeEphemeral({ event: "user.updated", data: { user } })]
  return Effect.andThen(pubsub.publish(presenceSubject(user.id), events), pubsub.publish(userSubject(user.id), events))
})
