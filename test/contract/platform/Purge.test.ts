import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Sessions } from "../../../src/services/identity/Sessions.ts"
import { StreamPositions } from "../../../src/services/log/StreamPositions.ts"
import { makePurge } from "../../../src/services/platform/Purge.ts"
import { signedIn } from "../../support/Accounts.ts"
import { chat, outcome, person } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"

const count = (table: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(sql<{ count: number }>`SELECT count(*) FROM ${sql(table)}`, ([row]) => row?.count)
  )

for (const database of databases) {
  const layer = StreamPositions.layer.pipe(Layer.provideMerge(chat.sql), Layer.provideMerge(database.layer))
  describe.skipIf(database.skip)(database.name, () => {
    it.layer(layer)("the purge", (it) => {
      it.effect("deletes idempotency keys after a day, and keeps the younger ones", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const purge = yield* makePurge
          const conversations = yield* Conversations
          const a = yield* person
          const make = (key: string) =>
            Effect.map(
              conversations.create(a, { kind: "group", title: "G", memberIds: [] }, key),
              ({ conversation }) => conversation.id
            )
          const [old, young] = [yield* make("old"), yield* make("young")]
          const age = (key: string, interval: string) => sql`
            UPDATE idempotency_keys SET created_at = created_at - ${interval}::interval WHERE key = ${key}`
          yield* age("old", "24 hours 1 minute")
          yield* age("young", "23 hours 59 minutes")
          yield* purge
          assert.strictEqual(yield* count("idempotency_keys"), 1)
          assert.strictEqual(yield* make("young"), young)
          assert.notStrictEqual(yield* make("old"), old)
        })
      )

      it.effect("deletes sessions a month after they ended or expired, and still refuses their tokens", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const purge = yield* makePurge
          const sessions = yield* Sessions
          const [alive, ended, expired, lately] = [yield* signedIn, yield* signedIn, yield* signedIn, yield* signedIn]
          for (const { principal } of [ended, lately]) yield* sessions.logout(principal)
          const set = ({ principal }: typeof alive, column: string, interval: string) => sql`
            UPDATE sessions SET ${sql(column)} = now() - ${interval}::interval WHERE id = ${principal.sessionId}`
          yield* sql`UPDATE sessions SET expires_at = now() + interval '1 day'`
          yield* set(ended, "ended_at", "31 days")
          yield* set(expired, "expires_at", "31 days")
          yield* set(lately, "ended_at", "29 days")
          yield* purge
          const left = yield* sql<{ id: string }>`SELECT id FROM sessions`
          assert.sameMembers(
            left.map(({ id }) => id),
            [alive, lately].map(({ principal }) => principal.sessionId)
          )
          const refresh = ({ device, tokens }: typeof alive) =>
            outcome(sessions.refresh({ refreshToken: tokens.refreshToken, ...device }))
          assert.strictEqual(yield* refresh(ended), yield* refresh(lately))
          assert.strictEqual(yield* refresh(alive), "ok")
        })
      )

      it.effect("deletes unused cursors, at most 500 in a step, and one node at a time", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const purge = yield* makePurge
          const cursors = yield* StreamPositions
          const a = yield* person
          const id = yield* cursors.store(a, { seqs: [], userSeq: 1 })
          yield* sql`
            INSERT INTO event_cursors (id, user_id, conversation_ids, seqs, user_seq, used_at)
            SELECT gen_random_uuid(), ${a}::uuid, '{}', '{}', 1, now() - interval '31 days'
            FROM generate_series(1, 700)`
          const more = yield* Effect.all([purge, purge], { concurrency: "unbounded" })
          assert.include(more, true)
          yield* purge
          assert.isFalse(yield* purge)
          assert.strictEqual(yield* count("event_cursors"), 1)
          assert.deepStrictEqual(yield* cursors.load(a, id), { seqs: [], userSeq: 1 })
        })
      )
    })
  })
}
