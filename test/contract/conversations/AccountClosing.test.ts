import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { AccountClosing } from "../../../src/services/conversations/AccountClosing.ts"
import { Sessions } from "../../../src/services/identity/Sessions.ts"
import { signedIn } from "../../support/Accounts.ts"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { accountClosingContract } from "./AccountClosing.contract.ts"

describe("fake", () => accountClosingContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    const withDatabase = chat.sql.pipe(Layer.provideMerge(database.layer))
    accountClosingContract(withDatabase)

    layer(withDatabase)("the sessions of a deleted account", (it) => {
      it.effect("keep no address and no device, whenever they ended", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const sessions = yield* Sessions
          const { login, me, person, principal } = yield* signedIn
          const { sessionId } = yield* login("other")
          yield* sessions.end(principal, sessionId)
          const traces = sql`SELECT FROM sessions WHERE user_id = ${me.id} AND (ip <> '' OR user_agent <> '')`
          assert.lengthOf(yield* traces, 2)
          yield* AccountClosing.use((accounts) => accounts.delete(principal, person.password))
          assert.lengthOf(yield* traces, 0)
          assert.lengthOf(yield* sql`SELECT FROM sessions WHERE user_id = ${me.id} AND ended_seq IS NULL`, 0)
        })
      )
    })
  })
}
