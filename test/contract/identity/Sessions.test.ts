import { assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Sessions } from "../../../src/services/identity/Sessions.ts"
import { accounts, signedIn } from "../../support/Accounts.ts"
import { databases } from "../../support/Database.ts"
import { sessionsContract } from "./Sessions.contract.ts"

/** Runs `other` until it waits for a lock of the transaction of `statement`, which then commits. */
const behind = Effect.fnUntraced(function* <A, E, R, B, E2, R2>(
  statement: Effect.Effect<B, E2, R2>,
  other: Effect.Effect<A, E, R>
) {
  const sql = yield* SqlClient.SqlClient
  const done = yield* Deferred.make<void>()
  const commit = yield* Deferred.make<void>()
  const first = yield* sql
    .withTransaction(
      Effect.andThen(statement, Effect.andThen(Deferred.succeed(done, undefined), Deferred.await(commit)))
    )
    .pipe(Effect.forkChild)
  yield* Deferred.await(done)
  const second = yield* Effect.forkChild(other)
  const waits = sql`SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE NOT l.granted AND a.datname = current_database()`
  while ((yield* waits).length === 0) yield* Effect.yieldNow
  yield* Deferred.succeed(commit, undefined)
  yield* Fiber.join(first)
  return yield* Fiber.join(second)
})

describe("fake", () => sessionsContract(accounts.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    const withDatabase = accounts.sql.pipe(Layer.provideMerge(database.layer))
    sessionsContract(withDatabase)

    layer(withDatabase)("a login and a change of the password at the same time", (it) => {
      it.effect("a login that checked the old password fails when the change commits first", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { login, me } = yield* signedIn
          const change = sql`UPDATE users SET password_hash = 'another' WHERE id = ${me.id}`
          const refused = yield* Effect.flip(behind(change, login()))
          assert.strictEqual(refused._tag, "Unauthenticated")
        })
      )

      it.effect("a refresh that is repeated ends the session when its answer is used first", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { device, me, tokens } = yield* signedIn
          const repeat = Sessions.use(({ refresh }) => refresh({ ...device, refreshToken: tokens.refreshToken }))
          yield* repeat
          const use = sql`UPDATE sessions SET used_generation = generation WHERE user_id = ${me.id}`
          assert.strictEqual((yield* Effect.flip(behind(use, repeat)))._tag, "Unauthenticated")
          assert.lengthOf(yield* sql`SELECT FROM sessions WHERE user_id = ${me.id} AND ended_at IS NULL`, 0)
        })
      )

      it.effect("a login that checked the password fails when an operator disables the account first", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { login, me } = yield* signedIn
          const disable = sql`SELECT outcome FROM disable_account(${me.id}::uuid, 'cli:ann', now(), '{}')`
          const refused = yield* Effect.flip(behind(disable, login()))
          assert.strictEqual(refused._tag, "Unauthenticated")
          assert.lengthOf(yield* sql`SELECT FROM sessions WHERE user_id = ${me.id} AND ended_at IS NULL`, 0)
        })
      )

      it.effect("the change ends a session whose login was about to commit", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const sessions = yield* Sessions
          const { login, me, person, principal, tokens } = yield* signedIn
          const late = yield* login()
          // The session of a login that is not committed yet.
          const begun = Effect.andThen(
            sql`SELECT FROM users WHERE id = ${me.id} FOR SHARE`,
            sql`INSERT INTO sessions (id, user_id, user_agent, ip, expires_at)
              SELECT gen_random_uuid(), user_id, user_agent, ip, expires_at FROM sessions WHERE id = ${late.sessionId}`
          )
          const change = { currentPassword: person.password, newPassword: "battery staple" }
          yield* behind(begun, sessions.changePassword(principal, change))
          assert.deepStrictEqual(
            (yield* sessions.list(principal, { limit: 200 })).items.map(({ id }) => id),
            [tokens.sessionId]
          )
        })
      )
    })
  })
}
