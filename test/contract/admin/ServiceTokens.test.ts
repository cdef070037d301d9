import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { ServiceTokens } from "../../../src/services/admin/ServiceTokens.ts"
import { databases } from "../../support/Database.ts"
import { operators } from "../../support/Operators.ts"
import { serviceTokensContract } from "./ServiceTokens.contract.ts"

describe("fake", () => serviceTokensContract(operators.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    const withDatabase = operators.sql.pipe(Layer.provideMerge(database.layer))
    serviceTokensContract(withDatabase)

    layer(withDatabase)("the tables", (it) => {
      it.effect("hold no token, and an audit log that can only grow", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const tokens = yield* ServiceTokens
          const { token } = yield* tokens.create("cli:ann", { name: "a token", scopes: ["admin"] })
          const stored = yield* sql`SELECT to_jsonb(t)::text AS text FROM service_tokens t
            UNION ALL SELECT to_jsonb(a)::text FROM audit_log a`
          assert.lengthOf(stored, 2)
          assert.notInclude(JSON.stringify(stored), token.slice(4, 20))
          for (const change of [
            sql`UPDATE audit_log SET actor = 'cli:nobody'`,
            sql`DELETE FROM audit_log`,
            sql`TRUNCATE audit_log`
          ]) {
            const { reason } = yield* Effect.flip(change)
            assert.include(String(reason.cause), "append-only")
          }
          assert.lengthOf(yield* sql`SELECT FROM audit_log WHERE actor = 'cli:ann'`, 1)
        })
      )
    })
  })
}
