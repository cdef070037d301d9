import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { databases } from "../support/Database.ts"
import { answering, answers } from "../support/GrowthAnswers.ts"
import { fillForGrowth, statistics } from "../support/GrowthData.ts"
import { type Answer, staysWithin } from "../support/GrowthWork.ts"
import { longTestTimeout } from "../support/TimeLimits.ts"

/** A user in 5,000 conversations, a group of 4,990, and threads, mentions, pins and stars by the fifty thousand. */
const size = 50_000

/** The messages of the long conversation, of which the reader has read none. */
const length = 1_000_000

/** The rows of others, all of which a planner may read for a user who is in most of the conversations. */
const strange = 12_000

/** The answers about the long conversation. Their bounds are numbers. */
const aboutTheLongOne = [
  "the newest page",
  "a page before the middle",
  "a page after the middle",
  "a page around the middle",
  "the oldest page",
  "a long conversation"
]

/** Fills the database in one transaction, which is no work of the service and has no limit of time. */
const fill = SqlClient.SqlClient.use((sql) =>
  sql.withTransaction(Effect.andThen(sql`SET LOCAL statement_timeout = 0`, fillForGrowth(size, length)))
)

/** Checks the work for an answer, and prints it: docs/capacity.md has these figures. */
const check = (name: string, answer: Answer, of: number) =>
  Effect.map(staysWithin(answer, of, strange), ({ buffers, rows }) => {
    process.stdout.write(`${name}: ${rows} rows, ${buffers} buffers\n`)
  })

for (const database of databases) {
  describe.skipIf(database.skip)(`the work of an answer on ${database.name}`, () => {
    for (const [state, prepare] of Object.entries(statistics)) {
      const layer = Layer.effectDiscard(Effect.andThen(fill, prepare)).pipe(
        Layer.provideMerge(answering),
        Layer.provideMerge(database.layer)
      )
      it.layer(layer, { timeout: longTestTimeout })(`does not grow, ${state}`, (it) => {
        for (const [name, answer] of Object.entries(answers)) {
          if (answer.needsStatistics === true && state === "without statistics") continue
          it.effect(name, () => check(name, answer, size))
          if (aboutTheLongOne.includes(name)) {
            it.effect(`${name}, of a million`, () => check(`${name}, of a million`, answer, length))
          }
        }
      })
    }
  })
}
