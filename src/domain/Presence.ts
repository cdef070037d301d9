import { Schema } from "effect"
import { Timestamp, UserId } from "./Ids.ts"

/** What others see of a user. */
export const PresenceStatus = Schema.Literals(["online", "away", "dnd", "offline"])
export type PresenceStatus = typeof PresenceStatus.Type

/** What a user may choose; the invisible one is offline to others. */
export const ChosenStatus = Schema.Literals(["online", "away", "dnd", "invisible"])
export type ChosenStatus = typeof ChosenStatus.Type

/**
 * A user's presence. `lastSeenAt` is now while the user is there, else the last time when the user was to be seen; null
 * when that is not known, or not the asking user's to know.
 */
export const Presence = Schema.Struct({
  userId: UserId,
  status: PresenceStatus,
  lastSeenAt: Schema.NullOr(Timestamp)
}).annotate({ identifier: "Presence" })
export type Presence = typeof Presence.Type

/** One of each user asked for, in that order. */
export const PresenceList = Schema.Struct({ items: Schema.Array(Presence) }).annotate({ identifier: "PresenceList" })
export type PresenceList = typeof PresenceList.Type

export const PresenceChange = Schema.Struct({ status: ChosenStatus }).annotate({ identifier: "PresenceChange" })
export type PresenceChange = typeof PresenceChange.Type

/** Whose presence is to be told, or no longer. The limit on their number is a setting and checked by Presence. */
export const PresenceSubscription = Schema.Struct({ userIds: Schema.Array(UserId) }).annotate({
  identifier: "PresenceSubscription"
})
export type PresenceSubscription = typeof PresenceSubscription.Type
