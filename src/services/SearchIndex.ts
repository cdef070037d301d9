import { performance } from "node:perf_hooks"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { every } from "./Background.ts"
import { orUnavailable } from "./Sql.ts"

/** How many conversations a step looks at, and of how many events it indexes what they have changed. */
const conversations = 2000
const events = 1000

const beginning = "00000000-0000-0000-0000-000000000000"

/** Makes the steps of the search index, which go through all conversations over and over. Answers with where it is. */
export const makeSearchIndex = Effect.map(
  SqlClient.SqlClient,
  (sql) => (after: string) =>
    sql<{ nextId: string | null; indexed: number }>`
      SELECT * FROM index_messages(${after}::uuid, ${conversations}::int, ${events}::int)`.pipe(
      Effect.map(([step]) => (step === undefined ? after : (step.nextId ?? beginning))),
      orUnavailable
    )
)

/** A node whose event loop is busier than this share of the time lets so many turns pass. */
const busy = 0.5
const patience = 10

/**
 * Indexes messages for Search behind the append: two small steps a second, and while this node is busy one in five
 * seconds, so that a burst of sends is indexed after it and not at its cost. One node does it at a time; what is not
 * indexed yet is searched all the same.
 */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const step = yield* makeSearchIndex
    let after = beginning
    let waited = 0
    let seen = performance.eventLoopUtilization()
    const next = Effect.suspend(() => {
      const now = performance.eventLoopUtilization()
      const { utilization } = performance.eventLoopUtilization(now, seen)
      seen = now
      if (utilization > busy && ++waited < patience) return Effect.void
      waited = 0
      return Effect.map(step(after), (reached) => {
        after = reached
      })
    })
    yield* every("500 millis", "the search index", next)
  })
)
