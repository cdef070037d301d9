import { Effect, Schema } from "effect"
import { changeFeedStalled } from "../platform/MetricDefinitions.ts"
import { Metrics } from "../platform/Metrics.ts"
import { monotonicNow } from "../platform/Monotonic.ts"
import { Readiness } from "../platform/readiness/Readiness.ts"

/** Where a consumer of the change feed stands, and what it waits for: `consumer_state` in `change_feed.sql`. */
export const ConsumerState = Schema.Struct({
  place: Schema.String,
  waits: Schema.NullOr(Schema.Literals(["ready", "held"]))
})
export type ConsumerState = typeof ConsumerState.Type

/** A consumer that has something to do, and has not moved for this long, stands still; in milliseconds. */
export const longestStandstill = 30_000

/** After a longer pause between two looks, nobody knows whether the consumer has moved; in milliseconds. */
const longestPause = 5000

const reasons = {
  ready: "its consumer fails, or no node has its turn",
  held: "a transaction of the cluster has been open since before"
}

/**
 * Makes `see`, which takes the state of a consumer once a second. While the consumer stands still, this node is degraded
 * and has the metric and the line in the log that say so; `without` is what it means for users.
 */
export const makeChangeFeedWatch = Effect.fnUntraced(function* (consumer: string, without: string) {
  const metrics = yield* Metrics
  const readiness = yield* Readiness
  let last: ConsumerState = { place: "", waits: null }
  let since = Number.NEGATIVE_INFINITY
  let seen = Number.NEGATIVE_INFINITY

  const standsFor = () => (last.waits === null ? 0 : seen - since)
  metrics.read(changeFeedStalled, () => standsFor() / 1000, { consumer })
  yield* readiness.watch({
    name: `${consumer}-feed`,
    required: false,
    without,
    probe: Effect.suspend(() =>
      last.waits !== null && standsFor() >= longestStandstill
        ? Effect.fail({
            message: `no change was consumed for ${longestStandstill / 1000} seconds: ${reasons[last.waits]}`
          })
        : Effect.void
    )
  })

  return (state: ConsumerState) =>
    Effect.map(monotonicNow, (now) => {
      if (last.waits === null || state.place !== last.place || now - seen > longestPause) since = now
      last = state
      seen = now
    })
})
