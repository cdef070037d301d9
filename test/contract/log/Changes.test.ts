import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { NotFound } from "../../../src/domain/Problem.ts"
import { conversationSubject } from "../../../src/services/bus/Subjects.ts"
import { type Changed, makeChanges } from "../../../src/services/log/Changes.ts"
import { chat, listen, outcome, twoOfUs, until } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { changesContract, Recorder } from "./Changes.contract.ts"

describe("fake", () => changesContract(Recorder.layerMemory.pipe(Layer.provideMerge(chat.fake))))

for (const database of databases) {
  const sqlLayer = Recorder.layer.pipe(Layer.provideMerge(chat.sql), Layer.provideMerge(database.layer))
  describe.skipIf(database.skip)(database.name, () => {
    changesContract(sqlLayer)

    withLayer(sqlLayer)("Changes: a change", (it) => {
      it.effect("succeeds with its row, or fails with the problem that its outcome stands for", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { change } = yield* makeChanges
          const { id } = yield* twoOfUs
          const call = (outcome: string) =>
            change(
              id,
              sql<Changed>`SELECT ${outcome} AS outcome, NULL::bigint AS first_seq, NULL::bigint AS last_seq`,
              {
                gone: new NotFound({})
              }
            )
          assert.strictEqual((yield* call("unchanged")).outcome, "unchanged")
          assert.strictEqual(yield* outcome(call("gone")), "NotFound")
          assert.strictEqual((yield* Effect.exit(call("what?")))._tag, "Failure")
        })
      )

      it.effect("is made and published after its caller was interrupted", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { change } = yield* makeChanges
          const { a, id } = yield* twoOfUs
          const heard = yield* listen(conversationSubject(id))
          const fiber = yield* Effect.forkChild(
            change(
              id,
              sql<Changed>`SELECT 'changed' AS outcome, seq AS first_seq, seq AS last_seq FROM pg_sleep(0.1),
                add_event(${id}::uuid, 'conversation.updated', ${a}::uuid, NULL, '{"title":"x"}') AS seq`,
              {}
            ),
            { startImmediately: true }
          )
          yield* Fiber.interrupt(fiber)
          yield* until(Effect.sync(() => heard.some(({ event }) => event === "conversation.updated")))
        })
      )
    })
  })
}
