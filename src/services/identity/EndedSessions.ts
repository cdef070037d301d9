import { Effect, Semaphore } from "effect"
import type { SessionId } from "../../domain/Ids.ts"
import { listenerFailed, PubSub, sessionsEnded } from "../bus/PubSub.ts"
import { sessionsSubject } from "../bus/Subjects.ts"
import { every, makeWake } from "../platform/Background.ts"
import { makeListeners } from "../platform/Listeners.ts"
import { Settings } from "../platform/Settings.ts"
import { SessionStorage } from "./SessionStorage.ts"

/** The longest time between the moment when an ended session got its number and its commit, in milliseconds. */
const overlapMs = 15_000

/**
 * Makes the ends of sessions known: to the other nodes over the bus, and to the listeners of this node. These learn of
 * an end from `sessions.ended_seq` alone, which is read when the bus says so and, because the bus may lose that, every
 * `timers.sessionRecheck`. So nobody who reaches the bus can end a session. `forget` drops what this node remembers of
 * ended sessions; it runs before any listener.
 */
export const makeEndedSessions = Effect.fnUntraced(function* (forget: (sessionIds: ReadonlyArray<SessionId>) => void) {
  const { timers } = yield* Settings
  const pubSub = yield* PubSub
  const storage = yield* SessionStorage
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const listeners = makeListeners<[sessionIds: ReadonlyArray<SessionId>, closed: boolean]>((defect) =>
    fork(listenerFailed(defect))
  )

  const known = new Set<SessionId>()
  const notify = (sessionIds: ReadonlyArray<SessionId>, closed: boolean) => {
    const unknown = sessionIds.filter((id) => !known.has(id))
    if (unknown.length === 0) return
    for (const id of unknown) known.add(id)
    forget(unknown)
    listeners.notify(unknown, closed)
  }

  // A session gets its number before its end is committed, so a lower number may appear after a higher one: each look
  // goes back to where the looks of the last few seconds began. No end is notified twice.
  const marks: Array<number> = []
  const look = Effect.gen(function* () {
    // Ids that become known while the statement runs stay known, because the statement may not see them.
    const before = [...known]
    const rows = yield* storage.endedAfter(marks[0])
    for (const closed of [true, false])
      notify(
        rows.filter((row) => row.closed === closed).map(({ id }) => id),
        closed
      )
    const found = new Set(rows.map(({ id }) => id))
    for (const id of before) if (!found.has(id)) known.delete(id)
    return Math.max(marks.at(-1) ?? 0, ...rows.map(({ endedSeq }) => endedSeq))
  }).pipe(Semaphore.makeUnsafe(1).withPermits(1))
  const recheck = Effect.map(look, (mark) => {
    marks.push(mark)
    // One more, because the first two looks may be closer together.
    if (marks.length > Math.ceil(overlapMs / timers.sessionRecheck) + 1) marks.shift()
  })
  const lookSoon = yield* makeWake("the look at ended sessions", look)
  yield* pubSub.subscribe(sessionsSubject, lookSoon)
  yield* every(timers.sessionRecheck, "the look at ended sessions", recheck)

  /**
   * Runs `end` and, once it is committed, publishes the ids that it gives. Every end of a session goes through here.
   */
  const publish = <E>(end: Effect.Effect<ReadonlyArray<SessionId>, E>, closed = false) =>
    end.pipe(
      Effect.tap((sessionIds) => {
        if (sessionIds.length === 0) return Effect.void
        notify(sessionIds, closed)
        return pubSub.publish(sessionsSubject, [sessionsEnded(sessionIds, closed)])
      }),
      Effect.uninterruptible
    )

  return { publish, onEnded: listeners.add }
})

/** The result of `makeEndedSessions`. */
export type EndedSessions = Effect.Success<ReturnType<typeof makeEndedSessions>>
