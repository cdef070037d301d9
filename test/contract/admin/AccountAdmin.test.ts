import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { AccountAdmin } from "../../../src/services/admin/AccountAdmin.ts"
import { groupOf, people } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { operators } from "../../support/Operators.ts"
import { accountAdminContract } from "./AccountAdmin.contract.ts"

describe("fake", () => accountAdminContract(operators.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    const withDatabase = operators.sql.pipe(Layer.provideMerge(database.layer))
    accountAdminContract(withDatabase)

    layer(withDatabase)("deleting an account", (it) => {
      it.effect("lets nobody add the user from its beginning on", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [a = assert.fail(), b = assert.fail()] = yield* people(2)
          yield* groupOf(b, a)
          yield* AccountAdmin.use((accounts) => accounts.delete("cli:ann", a))
          assert.lengthOf(yield* sql`SELECT FROM users WHERE id = ${a} AND closing_at IS NOT NULL`, 1)
        })
      )
    })
  })
}
