import { performance } from "node:perf_hooks"
import { Effect } from "effect"
import type { Unavailable } from "../../../domain/Problem.ts"
import { type Change, ChangeFeed } from "../../log/ChangeFeed.ts"
import { every } from "../../platform/Background.ts"
import { monotonicNow } from "../../platform/Monotonic.ts"
import { orUnavailable } from "../../platform/Sql.ts"
import { makeIndexStep } from "./IndexStep.ts"
import { makeIndexSweep } from "./IndexSweep.ts"
import { tokenizerVersion } from "./Tokenizer.ts"

/** The name of the search index among the consumers of the change feed. */
export const searchConsumer = "search"

/** At most this many changes are taken from the feed in one step. */
const changesPerStep = 500

/** The version and the sizes of the index; tests change them. */
interface SearchIndexOptions {
  /** The version of the tokenizer: words of a lower one are written again. */
  readonly version?: number
  /** At most this many events are indexed in one step. */
  readonly eventsPerStep?: number
}

/** The work that is left after a piece of it: none, more, or more at once because new messages are waiting. */
type Progress = "idle" | "more" | "behind"

/**
 * Makes the search index of this node. `work` does the next piece of work: a step for what the change feed has, and unless
 * that has left some, a step of the sweep, which so goes on while users write. A step may index more of a log than the feed
 * has told of, so that a later change finds nothing to do.
 */
export const makeSearchIndex = Effect.fnUntraced(function* ({
  eventsPerStep = 1000,
  version = tokenizerVersion
}: SearchIndexOptions = {}) {
  const feed = yield* ChangeFeed
  const step = yield* makeIndexStep(version, eventsPerStep)
  const sweep = yield* makeIndexSweep(version, step)
  let sweeping = true

  const follow = Effect.fn("SearchIndex.step")(function* (changes: ReadonlyArray<Change>) {
    const { locked, sweeping } = yield* step.lock
    if (!locked) return { handled: 0, sweeping, behind: false }
    const heads = yield* step.index(Array.from(new Set(changes.map(({ conversationId }) => conversationId))))
    const seqs = new Map(heads.map(({ conversationId, seq }) => [conversationId, seq]))
    // What was not behind, or is deleted, is done.
    const open = changes.findIndex(({ conversationId, lastSeq }) => (seqs.get(conversationId) ?? lastSeq) < lastSeq)
    const handled = open === -1 ? changes.length : open
    return { handled, sweeping, behind: open !== -1 || changes.length === changesPerStep }
  }, orUnavailable)

  const work: Effect.Effect<Progress, Unavailable> = Effect.gen(function* () {
    const followed = yield* feed.consume(searchConsumer, changesPerStep, follow)
    sweeping ||= followed?.sweeping === true
    if (followed?.behind === true) return "behind"
    if (!sweeping) return "idle"
    sweeping = yield* sweep()
    return "more"
  })

  return { work }
})

/** A node whose event loop is busy for more than this share of the time postpones its work … */
const busyShare = 0.5

/** … for at most this many turns. */
const postponedTurns = 10

/** A turn has at most this many steps. */
const stepsPerTurn = 10

/** After a fault of ours the work rests for this long, in milliseconds. */
const restAfterFault = 10_000

/**
 * Starts the job that indexes messages for Search after they were appended, and returns a function that says that the
 * change feed has something for it. It has two turns a second, and one every five seconds while this node is busy, so that
 * a burst of sends is not slowed by its indexing. Messages that are not indexed yet are found as well, only more slowly.
 */
export const startSearchIndex = Effect.gen(function* () {
  const feed = yield* ChangeFeed
  const { work } = yield* makeSearchIndex()
  let awake = true
  let postponed = 0
  let restsUntil = Number.NEGATIVE_INFINITY
  let measured = performance.eventLoopUtilization()
  const wake = () => {
    awake = true
  }
  yield* feed.onWrite(wake)

  const steps = work.pipe(
    Effect.repeat({ times: stepsPerTurn - 1, while: (progress) => progress === "behind" }),
    Effect.tap((progress) =>
      Effect.sync(() => {
        if (progress !== "idle") wake()
      })
    ),
    Effect.tapError(() => Effect.sync(wake)),
    Effect.tapDefect(() =>
      Effect.map(monotonicNow, (now) => {
        restsUntil = now + restAfterFault
        wake()
      })
    )
  )
  const turn = Effect.gen(function* () {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, measured)
    measured = now
    if (!awake || (yield* monotonicNow) < restsUntil) return
    if (utilization > busyShare && ++postponed < postponedTurns) return
    postponed = 0
    awake = false
    yield* steps
  })
  yield* every("500 millis", "the search index", turn)
  return wake
})
