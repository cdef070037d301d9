import { Effect } from "effect"
import type { Unavailable } from "../../../domain/Problem.ts"
import { type Change, ChangeFeed } from "../../log/ChangeFeed.ts"
import { makePaced } from "../../platform/Background.ts"
import { orUnavailable } from "../../platform/Sql.ts"
import { makeIndexStep } from "./IndexStep.ts"
import { makeIndexSweep } from "./IndexSweep.ts"
import { tokenizerVersion } from "./Tokenizer.ts"

/** The name of the search index among the consumers of the change feed. */
export const searchConsumer = "search"

/** At most this many changes are taken from the feed in one step. */
const changesPerStep = 200

/** The version and the sizes of the index; tests change them. */
interface SearchIndexOptions {
  /** The version of the tokenizer: words of a lower one are written again. */
  readonly version?: number
  /** At most this many events are indexed in one step. */
  readonly eventsPerStep?: number
}

/** The work that is left after a piece of it: none, more of the sweep, or more because new messages are waiting. */
type Progress = "idle" | "more" | "behind"

/**
 * Makes the search index of this node. `work` does the next piece of work: a step for what the change feed has, and unless
 * that has left some, a step of the sweep, which so goes on while users write. A step may index more of a log than the feed
 * has told of, so that a later change finds nothing to do.
 */
export const makeSearchIndex = Effect.fnUntraced(function* ({
  eventsPerStep = 200,
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

/**
 * Starts the job that indexes messages for Search after they were appended, and returns a function that says that the
 * change feed has something for it. Messages that are not indexed yet are found as well, only more slowly; so it lets them
 * gather, and works in small steps with rests in between, by which it leaves the node, the database and the other nodes to
 * the messages. The caller says again each second that there is something, so that a node whose work another one does may
 * forget it.
 */
export const startSearchIndex = Effect.gen(function* () {
  const { work } = yield* makeSearchIndex()
  const wake = yield* makePaced(
    "the search index",
    Effect.map(work, (progress) => progress !== "idle")
  )
  wake()
  return wake
})
