import { Effect } from "effect"
import type { Conflict, Forbidden, NotFound } from "../../domain/Problem.ts"
import { makeGroupCommit, queueSize } from "../platform/load/GroupCommit.ts"
import { makeCommit } from "./Commit.ts"
import type { Appended, NewEntry } from "./Entry.ts"
import { makeLanes } from "./Lanes.ts"
import type { Log } from "./Log.ts"
import { makeSettle } from "./Settle.ts"

/** The sizes and times of the writer; tests make them smaller. */
export interface LogOptions {
  /** How many batches may be committed at the same time. A conversation always belongs to the same shard. */
  readonly shards?: number
  /** The most entries of one batch. */
  readonly maxBatch?: number
  /** How many entries may wait in a shard before `append` answers `Unavailable`. */
  readonly capacity?: number
  /** How long an entry may wait before `append` answers `Unavailable`, in milliseconds. */
  readonly patienceMs?: number
}

/**
 * The append of the log on PostgreSQL: one writer for each shard of conversations, one call of `append_messages` for
 * each batch. A conversation whose head another writer holds waits in a lane of its own and delays no other.
 */
export const makeLogWriter = Effect.fnUntraced(function* (reader: Pick<Log["Service"], "range">, options: LogOptions) {
  const { capacity, maxBatch, patienceMs, shards } = { ...queueSize, shards: 1, ...options }
  const settle = yield* makeSettle(reader)
  const commit = yield* makeCommit(settle)
  const commitAll = yield* makeLanes(commit, maxBatch)
  const groups = yield* Effect.all(
    Array.from({ length: shards }, () =>
      makeGroupCommit<NewEntry, Appended, NotFound | Forbidden | Conflict>({
        queue: "messages",
        capacity,
        maxBatch,
        patienceMs,
        commit: commitAll
      })
    )
  )

  const append: Log["Service"]["append"] = (entry) =>
    Effect.suspend(() => {
      const group = groups[Number.parseInt(entry.conversationId.slice(-2), 16) % shards]
      return group === undefined ? Effect.die("no shard") : group.submit(entry)
    })

  return { append }
})
