import { randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { makePurge } from "../../../src/services/platform/Purge.ts"
import { databases } from "../../support/Database.ts"

interface Provisioned {
  readonly outcome: string
  readonly userId: string | null
}

const issuer = "https://app.example.com"
const at = (seconds: number) => new Date(1_750_000_000_000 + seconds * 1000)

/** Calls the function as a node does. */
const provision = ({
  create = true,
  issuedAt = at(0),
  name = "Ann",
  subject,
  update = true,
  usernames = ["ann"]
}: {
  readonly subject: string
  readonly usernames?: ReadonlyArray<string>
  readonly name?: string
  readonly issuedAt?: Date
  readonly create?: boolean
  readonly update?: boolean
}) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.flatMap(
      sql<Provisioned>`SELECT outcome, user_id FROM provision_user(${issuer}::text, ${subject}::text, ${randomUUID()}::uuid,
        ${usernames}::text[], ${name}::text, ${name.toLowerCase()}::text, NULL, NULL, NULL, ${issuedAt}::timestamptz,
        ${at(0)}::timestamptz, ${create}::boolean, ${update}::boolean)`,
      ([row]) => (row === undefined ? Effect.die("no row") : Effect.succeed(row))
    )
  )

const user = (id: string | null) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(
      sql<{ username: string; displayName: string }>`SELECT username, display_name FROM users WHERE id = ${id}`,
      ([row]) => row
    )
  )

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    it.layer(database.layer)("the provisioning of users", (it) => {
      it.effect("makes one user, however many ask for the same identity at once", () =>
        Effect.gen(function* () {
          const all = yield* Effect.all(
            Array.from({ length: 40 }, () => provision({ subject: "at-once", usernames: ["at-once", "at-once-1"] })),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(new Set(all.map(({ userId }) => userId)).size, 1)
          assert.strictEqual(all.filter(({ outcome }) => outcome === "created").length, 1)
        })
      )

      it.effect("gives the next username when one is taken, also by somebody at the same time", () =>
        Effect.gen(function* () {
          const all = yield* Effect.forEach(
            Array.from({ length: 20 }, (_, index) => index),
            (index) => provision({ subject: `rival-${index}`, usernames: ["rival", `rival-${index}`] }),
            { concurrency: "unbounded" }
          )
          const names = yield* Effect.forEach(all, ({ userId }) => Effect.map(user(userId), (row) => row?.username))
          assert.strictEqual(new Set(names).size, 20)
          assert.include(names, "rival")
        })
      )

      it.effect("takes over what has changed, but not from a token that was issued earlier", () =>
        Effect.gen(function* () {
          const subject = "changing"
          const { userId } = yield* provision({ subject, usernames: [subject], issuedAt: at(10) })
          const seen = (step: Parameters<typeof provision>[0]) => Effect.map(provision(step), ({ outcome }) => outcome)
          assert.strictEqual(yield* seen({ subject, issuedAt: at(20) }), "unchanged")
          assert.strictEqual(yield* seen({ subject, name: "Anna", issuedAt: at(20), update: false }), "unchanged")
          assert.strictEqual(yield* seen({ subject, name: "Anna", issuedAt: at(20) }), "updated")
          assert.strictEqual(yield* seen({ subject, name: "Ann", issuedAt: at(15) }), "unchanged")
          assert.deepStrictEqual(yield* user(userId), { username: "changing", displayName: "Anna" })
        })
      )

      it.effect("makes no user when it may not, and a new one after the account was closed", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const subject = "leaving"
          assert.deepStrictEqual(yield* provision({ subject, create: false }), { outcome: "unknown", userId: null })
          const { userId } = yield* provision({ subject, usernames: [subject] })
          yield* sql`SELECT outcome FROM close_account(${userId}::uuid, '', ${at(100)}::timestamptz)`
          assert.deepStrictEqual(yield* provision({ subject, issuedAt: at(50) }), { outcome: "ended", userId: null })
          const back = { subject, usernames: [subject], issuedAt: at(101) }
          assert.strictEqual((yield* provision({ ...back, create: false })).outcome, "unknown")
          const all = yield* Effect.all([provision(back), provision(back)], { concurrency: "unbounded" })
          assert.sameMembers(
            all.map(({ outcome }) => outcome),
            ["created", "unchanged"]
          )
          assert.notStrictEqual(all[0]?.userId, userId)
        })
      )

      it.effect("forgets the identity of a closed account after a month", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const subject = "forgotten"
          const { userId } = yield* provision({ subject, usernames: [subject] })
          yield* sql`SELECT outcome FROM close_account(${userId}::uuid, '', now() - interval '31 days')`
          yield* yield* makePurge
          assert.deepStrictEqual(yield* sql`SELECT FROM external_identities WHERE subject = ${subject}`, [])
        })
      )
    })
  })
}
