import { Effect, Semaphore } from "effect"
import type { ConversationId } from "../../domain/Ids.ts"
import type { PendingEntry } from "./Settle.ts"

type Batch = ReadonlyArray<PendingEntry>

/** How many lanes wait for locks at a time. Each holds a connection meanwhile; the rest of the pool stays free. */
const waitingLanes = 3

/**
 * Makes `commitAll`, which commits a batch, in `commit` calls of at most `maxBatch` entries, without waiting for
 * conversations whose head another writer holds: each of those gets a lane of its own, in which the entries of that
 * conversation wait for the lock in their order.
 */
export const makeLanes = Effect.fnUntraced(function* (
  commit: (batch: Batch, wait: boolean) => Effect.Effect<Batch>,
  maxBatch: number
) {
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const lanes = new Map<ConversationId, Array<PendingEntry>>()
  const waitingForLocks = yield* Semaphore.make(waitingLanes)

  const runLane = Effect.fnUntraced(function* (id: ConversationId, lane: Array<PendingEntry>) {
    while (lane.length > 0) {
      yield* waitingForLocks.withPermits(1)(Effect.suspend(() => commit(lane.splice(0, maxBatch), true)))
    }
    lanes.delete(id)
  })

  /** Returns whether the conversation of the entry has a lane, in which the entry waits now. */
  const queueInLane = (entry: PendingEntry) => {
    const lane = lanes.get(entry.input.conversationId)
    lane?.push(entry)
    return lane !== undefined
  }

  return (batch: Batch): Effect.Effect<void> => {
    const free = batch.filter((entry) => !queueInLane(entry))
    if (free.length === 0) return Effect.void
    return Effect.map(commit(free, false), (locked) => {
      const opened = locked.filter((entry) => {
        if (queueInLane(entry)) return false
        lanes.set(entry.input.conversationId, [entry])
        return true
      })
      for (const { input } of opened) fork(runLane(input.conversationId, lanes.get(input.conversationId) ?? []))
    })
  }
})
