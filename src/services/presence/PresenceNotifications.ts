import { Array as Arr, Clock, Effect } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import type { Published } from "../bus/Subjects.ts"
import { Shedding } from "../platform/load/Shedding.ts"
import { presenceChanges } from "../platform/MetricDefinitions.ts"
import { Metrics } from "../platform/Metrics.ts"
import { presenceChanged, type WatchedUsers, type Watcher } from "./WatchedUsers.ts"

/** The changes of this many users are sent before other fibers may run. */
const usersPerTurn = 500

/** Sends changes to the watchers, in batches. */
export const makePresenceNotifications = Effect.fnUntraced(function* ({ changed, renamed, users }: WatchedUsers) {
  const count = (yield* Metrics).counter(presenceChanges)
  const shedding = yield* Shedding
  /** Watchers that have refused changes. */
  const behind = new Set<Watcher>()

  /** Sends a user again with the next batch. */
  const postpone = (watcher: Watcher, userId: UserId) => {
    watcher.refused.add(userId)
    behind.add(watcher)
  }

  const send = (watcher: Watcher, userId: UserId, event: Published) => {
    const taken = watcher.offer(event)
    if (taken) watcher.refused.delete(userId)
    else postpone(watcher, userId)
    return taken
  }

  const sendRefused = (now: number) => {
    const late = [...behind]
    behind.clear()
    for (const watcher of late) {
      for (const userId of [...watcher.refused]) {
        const user = users.get(userId)
        if (user === undefined || changed.has(user)) continue
        if (!send(watcher, userId, presenceChanged(userId, user.observed, now))) break
      }
      if (watcher.refused.size > 0) behind.add(watcher)
    }
  }

  /**
   * Sends what has changed since the last call, of each user only the last change, and what was refused before. While the node
   * is too busy, all of that waits. A profile that is refused is not sent again: the watcher reads it with its next connection.
   */
  const flush = Effect.gen(function* () {
    if (changed.size + behind.size + renamed.size === 0 || shedding.sheds("presence")) return
    const now = yield* Clock.currentTimeMillis
    for (const user of changed) if (user.observed.status === user.sent) changed.delete(user)
    sendRefused(now)
    for (const [user, event] of renamed) for (const watcher of user.watchers) watcher.offer(event)
    renamed.clear()
    for (const batch of Arr.chunksOf([...changed], usersPerTurn)) {
      for (const user of batch) {
        if (!changed.delete(user)) continue
        user.sent = user.observed.status
        const event = presenceChanged(user.userId, user.observed, now)
        count()
        for (const watcher of user.watchers) send(watcher, user.userId, event)
      }
      yield* Effect.yieldNow
    }
  })

  return { flush, forget: (watcher: Watcher) => behind.delete(watcher), postpone }
})
