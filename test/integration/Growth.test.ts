import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { chat } from "../support/Chat.ts"
import { databases } from "../support/Database.ts"
import { makeSession } from "../support/Explain.ts"
import { answering, answers } from "../support/GrowthAnswers.ts"
import { fillForGrowth, growth, longLog, oneGroup, statistics, withoutAutovacuum } from "../support/GrowthData.ts"
import { staysWithin } from "../support/GrowthWork.ts"

const { long, writer } = growth

const there = databases.filter(({ skip }) => !skip)

/** What is asked of a second database, for its planner: small tables of which it knows that they are small. */
const few = { sizes: [1000], states: { "with statistics": statistics["with statistics"] } }

for (const database of there) {
  describe(`the work of an answer on ${database.name}`, () => {
    const { sizes, states } = database === there[0] ? { sizes: [1000, 10_000], states: statistics } : few
    for (const size of sizes) {
      for (const [state, prepare] of Object.entries(states)) {
        const layer = Layer.effectDiscard(Effect.andThen(fillForGrowth(size), prepare)).pipe(
          Layer.provideMerge(answering),
          Layer.provideMerge(database.layer)
        )
        it.layer(layer)(`does not grow: ${size} of each, ${state}`, (it) => {
          for (const [name, answer] of Object.entries(answers)) {
            if (answer.needsStatistics === true && state === "without statistics") continue
            it.effect(name, () => staysWithin(answer, size))
          }
        })
      }
    }

    // A connection keeps the plan that it made while the tables were empty, until they have statistics.
    it.layer(Layer.provideMerge(chat.sql, database.layer))("does not grow with plans from empty tables", (it) => {
      const send = `SELECT * FROM append_message(true, '${long}', '${writer}', gen_random_uuid(), 'new', '\\x00', 'text',
        'message', NULL)`
      const sends = (wait: boolean) => `SELECT a.* FROM append_messages(${wait}, array_fill('${long}'::uuid, ARRAY[20]),
        array_fill('${writer}'::uuid, ARRAY[20]), ARRAY(SELECT gen_random_uuid() FROM generate_series(1, 20)),
        ARRAY(SELECT 'new' || n FROM generate_series(1, 20) n), array_fill('\\x00'::bytea, ARRAY[20]),
        array_fill('text'::text, ARRAY[20]), array_fill('message'::text, ARRAY[20]),
        array_fill(NULL::uuid, ARRAY[20])) a`
      it.effect("sends", () =>
        Effect.gen(function* () {
          yield* withoutAutovacuum
          yield* oneGroup
          const { work } = yield* makeSession
          const run = (text: string) => Effect.promise(() => work(text, [], "generic"))
          yield* run(send)
          yield* run(sends(true))
          yield* run(sends(false))
          yield* longLog(4000)
          const one = yield* run(send)
          assert.isAtMost(one.rows, 10, one.scans)
          assert.isAtMost(one.buffers, 54, one.scans)
          for (const wait of [true, false]) {
            const batch = yield* run(sends(wait))
            assert.isAtMost(batch.rows, 20 * 5, batch.scans)
            assert.isAtMost(batch.buffers, 20 * 20, batch.scans)
          }
        })
      )
    })
  })
}
