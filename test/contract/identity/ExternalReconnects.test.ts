import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Sessions } from "../../../src/services/identity/Sessions.ts"
import { makeAccounts } from "../../support/Accounts.ts"
import { databases } from "../../support/Database.ts"
import { Issuers } from "../../support/Issuers.ts"

/** The versions of all rows that a sign-in could write: each write gives a row another `xmin`. */
const versions = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) =>
    sql`SELECT 'sessions' AS of, id::text AS id, xmin::text AS version FROM sessions
    UNION ALL SELECT 'users', id::text, xmin::text FROM users
    UNION ALL SELECT 'identities', issuer || ' ' || subject, xmin::text FROM external_identities
    ORDER BY 1, 2`
)

const reconnect = (tokens: ReadonlyArray<string>) =>
  Effect.flatMap(Sessions, (sessions) =>
    Effect.forEach(tokens, (token) => sessions.authenticate(token, { userAgent: "app", ip: "10.0.0.1" }), {
      concurrency: "unbounded",
      discard: true
    })
  )

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    it.layer(Issuers.layer.pipe(Layer.provideMerge(database.layer)))("a storm of reconnects", (it) => {
      it.effect("with 10,000 tokens that are known writes nothing, and fetches the keys at most once for a node", () =>
        Effect.gen(function* () {
          const { app, existing, once, other } = yield* Issuers
          const auth = { issuers: [app, other, once, existing].map(({ settings }) => settings) }
          const node = Layer.fresh(makeAccounts(auth).sql)
          const tokens = yield* Effect.forEach(Array.from({ length: 1000 }), (_, index) =>
            app.sign({ sub: `${index}`, sid: `${index}`, name: `User ${index}` })
          )
          yield* Effect.provide(
            Effect.gen(function* () {
              yield* reconnect(tokens)
              const before = yield* versions
              const requests = app.requests()
              for (let round = 0; round < 9; round++) yield* reconnect(tokens)
              assert.deepStrictEqual(yield* versions, before)
              assert.strictEqual(app.requests(), requests)
            }),
            node
          )
          // Another node, which has never seen them.
          const before = yield* versions
          const requests = app.requests()
          yield* Effect.provide(reconnect(tokens), node)
          assert.deepStrictEqual(yield* versions, before)
          assert.isAtMost(app.requests() - requests, 1)
        })
      )
    })
  })
}
