import { Deferred, Scope } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import type { Presence } from "../../domain/Presence.ts"
import { encodeEphemeral, type ObservedPresence } from "../bus/PubSub.ts"
import type { Published } from "../bus/Subjects.ts"

/** A connection that receives presence changes. */
export interface Watcher {
  readonly userId: UserId
  /**
   * Takes a `presence.changed` or a `user.updated`, or refuses it by answering false. A refused presence is sent again later, as
   * then observed.
   */
  readonly offer: (changed: Published) => boolean
  readonly watched: Set<UserId>
  /** The users whose last change it refused. */
  readonly refused: Set<UserId>
}

/** A user whom connections of this node watch. */
export interface WatchedUser {
  readonly userId: UserId
  readonly watchers: Set<Watcher>
  /** Holds the subscription to the user's presence. */
  readonly scope: Scope.Closeable
  /** Done after the first read of the store. */
  readonly ready: Deferred.Deferred<void>
  observed: ObservedPresence
  /** The status that was sent to the watchers last. */
  sent: ObservedPresence["status"]
  /** Counts the changes of `observed`, so that a slow read does not undo what arrived meanwhile. */
  version: number
  /** The store had nothing about the user at the last read, though others saw the user before. */
  wasMissing: boolean
}

/** How others see a user about whom nothing is known, and how strangers see everybody. */
export const nobody: ObservedPresence = { status: "offline", seenAt: null, at: 0 }

/** An observed presence as clients get it. */
export const toPresence = (userId: UserId, { seenAt, status }: ObservedPresence, now: number): Presence => {
  const lastSeen = status === "offline" ? seenAt : now
  return { userId, status, lastSeenAt: lastSeen === null ? null : new Date(lastSeen).toISOString() }
}

/** The event that watchers of a user receive. */
export const presenceChanged = (userId: UserId, observed: ObservedPresence, now: number): Published =>
  encodeEphemeral({ event: "presence.changed", data: toPresence(userId, observed, now) })

/** The watched users of this node: one entry for each, however many connections watch that user. */
export const makeWatchedUsers = () => {
  const users = new Map<UserId, WatchedUser>()
  /** Users whose watchers have not been sent the present status. */
  const changed = new Set<WatchedUser>()
  /** Users whose watchers have not been sent the present profile. */
  const renamed = new Map<WatchedUser, Published>()

  const learn = (user: WatchedUser, observed: ObservedPresence) => {
    user.observed = observed
    user.version++
    user.wasMissing = false
    if (observed.status !== user.sent) changed.add(user)
  }

  /**
   * Takes note that the store has nothing about a user. If others saw the user before, the store has probably been
   * emptied, and the user's node will report again; only at the second time the user counts as offline.
   */
  const learnMissing = (user: WatchedUser) => {
    if (user.observed.status === "offline" || user.wasMissing) learn(user, { ...nobody, at: user.observed.at })
    else user.wasMissing = true
  }

  const add = (userId: UserId): WatchedUser => {
    const user = {
      userId,
      watchers: new Set<Watcher>(),
      scope: Scope.makeUnsafe(),
      ready: Deferred.makeUnsafe<void>(),
      observed: nobody,
      sent: nobody.status,
      version: 0,
      wasMissing: false
    }
    users.set(userId, user)
    return user
  }

  const remove = (user: WatchedUser) => {
    users.delete(user.userId)
    changed.delete(user)
    renamed.delete(user)
  }

  return { add, changed, learn, learnMissing, remove, renamed, users }
}

export type WatchedUsers = ReturnType<typeof makeWatchedUsers>
