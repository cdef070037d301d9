import { Array as Arr, Effect, Schedule } from "effect"
import type { ConversationId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import { encodeEvent } from "../services/bus/PubSub.ts"
import { Log } from "../services/log/Log.ts"
import { LogEpoch } from "../services/platform/LogEpoch.ts"
import * as Definitions from "../services/platform/MetricDefinitions.ts"
import { Metrics } from "../services/platform/Metrics.ts"
import { Settings } from "../services/platform/Settings.ts"
import type { Feed } from "./Feed.ts"
import { Frame } from "./Frame.ts"
import { makeRepairLoop } from "./Repair.ts"

/** How many events one read of a repair takes. */
const repairStep = 200

/** How many heads one statement reads. */
const headsStep = 1000

type Feeds = ReadonlyMap<ConversationId, Feed>
type Heads = ReadonlyArray<readonly [ConversationId, number]>

/** Makes the function that reads the events between a feed and `head`, while the feed is followed. */
const makeRead = Effect.fnUntraced(function* (feeds: Feeds) {
  const log = yield* Log
  const metrics = yield* Metrics
  const countRepaired = {
    hole: metrics.counter(Definitions.repairedEvents, { cause: "hole" }),
    head: metrics.counter(Definitions.repairedEvents, { cause: "head" })
  }
  return Effect.fnUntraced(function* (id: ConversationId, feed: Feed, head: number, cause: "hole" | "head") {
    while (feeds.get(id) === feed && feed.last !== undefined && feed.last < head) {
      const events = yield* log.range(id, feed.last, Math.min(head, feed.last + repairStep))
      if (events.length === 0) return
      for (const event of events) feed.take(new Frame(encodeEvent(event)))
      countRepaired[cause](events.length)
    }
  })
})
type Read = Effect.Success<ReturnType<typeof makeRead>>

/** Makes the function that waits for the missing events of a feed, and reads from the log those that did not arrive. */
const makeFillGap = Effect.fnUntraced(function* (feeds: Feeds, read: Read) {
  const { timers } = yield* Settings
  const retry = { schedule: Schedule.spaced(timers.repairDegraded) }
  const isFollowed = (id: ConversationId, feed: Feed) => feeds.get(id) === feed

  return (id: ConversationId, feed: Feed): Effect.Effect<void> =>
    Effect.gen(function* () {
      while (feed.missingUpTo !== undefined && isFollowed(id, feed)) {
        yield* Effect.sleep(timers.gapWait)
        const { last, missingUpTo } = feed
        if (missingUpTo !== undefined) yield* Effect.retry(read(id, feed, missingUpTo, "hole"), retry)
        if (feed.last !== last || feed.missingUpTo === undefined || !isFollowed(id, feed)) continue
        yield* Effect.logError("the bus brought events that the log does not have", { conversationId: id })
        feed.forget()
      }
    }).pipe(
      Effect.ignore,
      Effect.ensuring(
        Effect.sync(() => {
          feed.repairing = false
        })
      )
    )
})

/** Resets the subscribers of conversations whose log was replaced by another one, which ends at these heads. */
const rewind = (feeds: Feeds, heads: Heads, reason: string) =>
  Effect.suspend(() => {
    for (const [id, head] of heads) feeds.get(id)?.rewind(head)
    return heads.length === 0
      ? Effect.void
      : Effect.logWarning(`the log was replaced by another one (${reason}): subscribers are reset`, {
          conversations: heads.length
        })
  })

/** Makes the function that compares the heads of feeds with the log, and reads what the feeds do not have. */
const makeCompare = Effect.fnUntraced(function* (feeds: Feeds, read: Read) {
  const log = yield* Log

  const checkHead = (id: ConversationId, head: number): Effect.Effect<void, Unavailable> => {
    const feed = feeds.get(id)
    return feed?.last !== undefined && feed.last < head && !feed.repairing ? read(id, feed, head, "head") : Effect.void
  }

  return Effect.fnUntraced(function* (ids: ReadonlyArray<ConversationId>) {
    // The bus may bring an event while the heads are read: only what was known before must be in the log.
    const known = ids.flatMap((id) => {
      const last = feeds.get(id)?.last
      return last === undefined ? [] : [[id, last] as const]
    })
    const heads = yield* log.heads(ids)
    const lost = known.flatMap(([id, last]) => {
      const head = heads.get(id) ?? 0
      return head < last ? [[id, head] as const] : []
    })
    yield* rewind(feeds, lost, "it ends earlier")
    yield* Effect.forEach(heads, ([id, head]) => checkHead(id, head), { discard: true })
  })
})

/** Makes the effect that resets all subscribers, for another epoch of the log. */
const makeRewindAll = Effect.fnUntraced(function* (feeds: Feeds) {
  const log = yield* Log
  const { timers } = yield* Settings
  const retry = { schedule: Schedule.spaced(timers.repairDegraded) }

  const rewindSome = Effect.fnUntraced(function* (ids: ReadonlyArray<ConversationId>) {
    const heads = yield* Effect.retry(log.heads(ids), retry)
    const all = ids.map((id) => [id, heads.get(id) ?? 0] as const)
    yield* rewind(feeds, all, "its epoch is another one")
  })
  return Effect.suspend(() => Effect.forEach(Arr.chunksOf([...feeds.keys()], headsStep), rewindSome, { discard: true }))
})

/**
 * Reads from the log what the bus lost. Returns `watchForGap`, which is to be called after each change of a feed: when
 * events are missing, it waits `timers.gapWait` for them and then reads them. The heads of all feeds are compared with
 * the log in the background until the scope closes, since the bus may lose the last event too.
 */
export const makeFeedRepair = Effect.fnUntraced(function* (feeds: Feeds) {
  const epoch = yield* LogEpoch
  const startRepair = yield* makeRepairLoop
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const read = yield* makeRead(feeds)
  const fillGap = yield* makeFillGap(feeds, read)
  const rewindAll = yield* makeRewindAll(feeds)
  yield* startRepair(() => [...feeds.keys()], yield* makeCompare(feeds, read))
  yield* epoch.onChange(() => fork(rewindAll))

  return (id: ConversationId, feed: Feed): void => {
    if (feed.repairing || feed.missingUpTo === undefined) return
    feed.repairing = true
    fork(fillGap(id, feed))
  }
})
