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
      orUnavailable,
      // Told of elsewhere.
      Effect.catchTag("Unavailable", () => Effect.succeed(after))
    )
)

/**
 * Indexes messages for Search behind the append: two small steps a second, so that a burst of sends is indexed after it
 * and not at its cost. One node does it at a time; what is not indexed yet is searched all the same.
 */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const step = yield* makeSearchIndex
    let after = beginning
    yield* every(
      "500 millis",
      "the search index",
      Effect.map(
        Effect.suspend(() => step(after)),
        (next) => {
          after = next
        }
      )
    )
  })
)
