import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { pollsContract } from "./Polls.contract.ts"

describe("fake", () => pollsContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    pollsContract(chat.sql.pipe(Layer.provideMerge(database.layer)))

    layer(database.layer)((it) => {
      // Votes read a time that a client wrote: earlier releases stored times that do not exist.
      it.effect("a time that does not exist counts as passed, and does not fail", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [row] = yield* sql`
            SELECT has_passed('0000-01-01T00:00:00.000Z') AS never, has_passed('2027-02-30T10:00:00Z') AS february,
              has_passed('9999-12-31T00:00:00.000Z') AS later, has_passed(NULL) AS none`
          assert.deepStrictEqual(row, { never: true, february: true, later: false, none: null })
        })
      )
    })
  })
}
