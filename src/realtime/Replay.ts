import { Effect, Schedule } from "effect"
import type { Event } from "../domain/Event.ts"
import { replayLimit } from "../domain/Protocol.ts"
import { Log } from "../services/log/Log.ts"
import { bytesPer, HeavyReads } from "../services/platform/load/HeavyReads.ts"
import * as Definitions from "../services/platform/MetricDefinitions.ts"
import { Metrics } from "../services/platform/Metrics.ts"
import type { Cursor } from "./Cursor.ts"
import { Hub } from "./Hub.ts"
import { isCurrent, type ResumableSubscriber, sendWhenRoom } from "./Subscriber.ts"

/** Brings single cursors to the head of their conversations, and takes them away from subscribers. */
export interface Replay {
  /** Stops following and sends `conversation.removed`; does nothing for a cursor that is dropped or replaced. */
  readonly drop: (subscriber: ResumableSubscriber, cursor: Cursor) => Effect.Effect<void>
  /** Sends `conversation.reset` and continues after `head`. */
  readonly reset: (subscriber: ResumableSubscriber, cursor: Cursor, head: number) => Effect.Effect<void>
  /**
   * Sends what the cursor missed, or resets it when that is too much, and lets it go live. Waits for a database that is
   * down; ends early when the subscriber closes or the membership has ended.
   */
  readonly replay: (subscriber: ResumableSubscriber, cursor: Cursor) => Effect.Effect<void>
  /** Lets the cursor go live at `nextSeq`, after a replay when the log has more by now. */
  readonly goLive: (subscriber: ResumableSubscriber, cursor: Cursor, nextSeq: number) => Effect.Effect<void>
}

const bytesOf = ({ items }: { readonly items: ReadonlyArray<Event> }) =>
  items.reduce((sum, { data }) => sum + bytesPer.item + ("message" in data ? data.message.body.length : 0), 0)

/** Makes the `Replay`, which reads missed events from the log. */
export const makeReplay = Effect.gen(function* () {
  const hub = yield* Hub
  const log = yield* Log
  const metrics = yield* Metrics
  const reads = yield* HeavyReads
  const countReplayed = metrics.counter(Definitions.replayedEvents)
  const countReset = metrics.counter(Definitions.resets)

  const drop: Replay["drop"] = (subscriber, cursor) =>
    Effect.suspend(() => {
      if (!isCurrent(subscriber, cursor)) return Effect.void
      hub.unfollow(cursor)
      subscriber.cursors.delete(cursor.conversationId)
      return sendWhenRoom(subscriber, "conversation.removed", cursor.conversationId, {})
    })

  const reset: Replay["reset"] = (subscriber, cursor, head) =>
    Effect.suspend(() => {
      cursor.nextSeq = head + 1
      cursor.stale = false
      countReset()
      return sendWhenRoom(subscriber, "conversation.reset", cursor.conversationId, { seq: head }, head)
    })

  /** Reads what the cursor has not seen, at most `replayLimit.conversation` events; undefined for a non-member. */
  const readMissed = ({ conversationId, nextSeq }: Cursor, subscriber: ResumableSubscriber) => {
    const { userId } = subscriber
    const read = log.events({ conversationId, userId, after: nextSeq - 1, limit: replayLimit.conversation })
    return reads.inTime(userId, read, bytesOf).pipe(
      Effect.retry({
        while: (error) => error._tag === "Unavailable" && !subscriber.isClosing,
        schedule: Schedule.spaced("1 second")
      }),
      Effect.catchTag("NotFound", () => Effect.succeed(undefined))
    )
  }

  /** Does one read and sends it; true when the cursor is live, dropped or replaced, and nothing is left to do. */
  const replayOnce = Effect.fnUntraced(function* (subscriber: ResumableSubscriber, cursor: Cursor) {
    yield* subscriber.room
    const after = cursor.nextSeq - 1
    const page = yield* readMissed(cursor, subscriber)
    if (!isCurrent(subscriber, cursor)) return true
    if (page?.visibleFromSeq !== cursor.visibleFromSeq) {
      yield* drop(subscriber, cursor)
      // The user may have joined again in the meantime.
      cursor.detach()
      return true
    }
    // A log that ends earlier than what was delivered has replaced the one before.
    if (cursor.stale || page.head < after || page.head - after > replayLimit.conversation) {
      yield* reset(subscriber, cursor, page.head)
    } else {
      countReplayed(page.items.length)
      for (const event of page.items) {
        yield* subscriber.room
        if (!isCurrent(subscriber, cursor)) return true
        subscriber.send(event)
      }
      cursor.nextSeq = page.head + 1
    }
    return cursor.release()
  })

  const replay: Replay["replay"] = (subscriber, cursor) =>
    Effect.suspend(() => (subscriber.isClosing ? Effect.succeed(true) : replayOnce(subscriber, cursor))).pipe(
      Effect.repeat({ until: (done) => done }),
      Effect.catch(() => Effect.void),
      Effect.asVoid
    )

  const goLive: Replay["goLive"] = (subscriber, cursor, nextSeq) =>
    Effect.suspend(() => {
      cursor.nextSeq = nextSeq
      return cursor.release() ? Effect.void : replay(subscriber, cursor)
    })

  return { drop, goLive, replay, reset } satisfies Replay
})
