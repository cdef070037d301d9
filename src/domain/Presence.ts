import { Schema } from "effect"
import { UserId } from "./Ids.ts"
import { Timestamp } from "./Time.ts"

/** The status of a user as others see it. */
export const PresenceStatus = Schema.Literals(["online", "away", "dnd", "offline"])
export type PresenceStatus = typeof PresenceStatus.Type

/** The status that a user may choose. Others see an invisible user as offline. */
export const ChosenStatus = Schema.Literals(["online", "away", "dnd", "invisible"])
export type ChosenStatus = typeof ChosenStatus.Type

/**
 * A user's presence. `lastSeenAt` is the current time while the user is connected and visible, and afterwards the time
 * when the user was last visible. It is null if that is unknown, or if the caller may not know it.
 */
export const Presence = Schema.Struct({
  userId: UserId,
  status: PresenceStatus,
  lastSeenAt: Schema.NullOr(Timestamp)
}).annotate({ identifier: "Presence" })
export type Presence = typeof Presence.Type

/** The presence of each requested user, in the order of the request. */
export const PresenceList = Schema.Struct({ items: Schema.Array(Presence) }).annotate({ identifier: "PresenceList" })
export type PresenceList = typeof PresenceList.Type

/** The status that I choose for myself. */
export const PresenceChange = Schema.Struct({ status: ChosenStatus }).annotate({ identifier: "PresenceChange" })
export type PresenceChange = typeof PresenceChange.Type

/**
 * The users whose presence changes I want to receive, or no longer want to. The limit on their number is a setting, which
 * Presence checks.
 */
export const PresenceSubscription = Schema.Struct({ userIds: Schema.Array(UserId) }).annotate({
  identifier: "PresenceSubscription"
})
export type PresenceSubscription = typeof PresenceSubscription.Type
