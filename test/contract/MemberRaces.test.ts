import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Members } from "../../src/services/Members.ts"
import { chat, groupOf, people, until } from "../support/Chat.ts"
import { databases } from "../support/Database.ts"
import { holdMember } from "../support/Holding.ts"

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    withLayer(chat.sql.pipe(Layer.provideMerge(database.layer)))("races about a member", (it) => {
      it.effect("who is removed while something of his own changes waits for it as a member, and holds no more", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const members = yield* Members
          const [a, b] = yield* people(2)
          if (a === undefined || b === undefined) return yield* Effect.die("nobody")
          const id = yield* groupOf(a, b)
          const release = yield* holdMember(id, b)
          const removal = yield* Effect.forkChild(members.remove(a, id, b), { startImmediately: true })
          yield* until(
            Effect.map(
              sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
              (rows) => rows.length > 0
            )
          )
          // As a change of his settings takes it next: where the removal had it already, each waited for the other.
          assert.lengthOf(yield* sql`SELECT FROM user_heads WHERE user_id = ${b}::uuid FOR UPDATE SKIP LOCKED`, 1)
          yield* release
          yield* Fiber.join(removal)
        })
      )
    })
  })
}
