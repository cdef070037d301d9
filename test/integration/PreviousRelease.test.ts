import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { maxEdits } from "../../src/domain/Message.ts"
import { chat, dmOf, groupOf, people, post } from "../support/Chat.ts"
import { databases } from "../support/Database.ts"

/** Calls a SQL function as a node of release 0.1.0 does, and returns the outcome. */
const outcomeOf = (call: string, values: ReadonlyArray<unknown>) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql.unsafe<{ readonly outcome: string }>(`SELECT * FROM ${call}`, values)
    return row?.outcome
  })

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    layer(chat.sql.pipe(Layer.provideMerge(database.layer)))("the functions that nodes of release 0.1.0 call", (it) => {
      it.effect("answer an edit with outcomes that these know", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [a = assert.fail()] = yield* people(1)
          const id = yield* groupOf(a)
          const { id: messageId } = yield* post(id, a)
          const edit = (body: string) =>
            outcomeOf("edit_message($1::uuid, $2::uuid, $3::uuid, $4, false, '[]', 0)", [id, a, messageId, body])
          assert.strictEqual(yield* edit("changed"), "changed")
          yield* sql`UPDATE messages SET revision = ${maxEdits + 1} WHERE id = ${messageId}`
          assert.strictEqual(yield* edit("changed again"), "too-late")
        })
      )

      it.effect("answer the adding of members with outcomes that these know", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [a = assert.fail(), b = assert.fail(), shy = assert.fail()] = yield* people(3)
          const id = yield* groupOf(a)
          yield* sql`UPDATE users SET who_may_add_me = 'contacts' WHERE id = ${shy}`
          const add = (userId: string) =>
            outcomeOf("add_members($1::uuid, $2::uuid, ARRAY[$3::uuid], 10)", [id, a, userId])
          assert.strictEqual(yield* add(b), "changed")
          assert.strictEqual(yield* add(shy), "blocked")
        })
      )

      it.effect("open a direct conversation, and give no row when it is refused", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [a = assert.fail(), b = assert.fail(), shy = assert.fail()] = yield* people(3)
          yield* sql`UPDATE users SET who_may_add_me = 'contacts' WHERE id = ${shy}`
          const open = (peer: string) =>
            sql`SELECT conversation_id, created FROM create_direct(gen_random_uuid(), ${a}::uuid, ${peer}::uuid)`
          const [made] = yield* open(b)
          assert.deepStrictEqual(made, { conversationId: yield* dmOf(a, b), created: true })
          assert.lengthOf(yield* open(shy), 0)
        })
      )

      it.effect("tell the change feed of every event that they write", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [a = assert.fail(), b = assert.fail()] = yield* people(2)
          const [made] = yield* sql<{ id: string }>`SELECT conversation_id AS id
            FROM create_direct(gen_random_uuid(), ${a}::uuid, ${b}::uuid)`
          const id = made?.id ?? assert.fail()
          const one = "append_message(true, $1, $2, gen_random_uuid(), $3, '\\x00', 'text', 'hello', NULL)"
          const batch = `append_messages(true, ARRAY[$1::uuid], ARRAY[$2::uuid], ARRAY[gen_random_uuid()], ARRAY[$3::text],
            ARRAY['\\x00'::bytea], ARRAY['text'], ARRAY['hello'], ARRAY[NULL]::uuid[])`
          assert.strictEqual(yield* outcomeOf(one, [id, a, "first"]), "stored")
          assert.strictEqual(yield* outcomeOf(batch, [id, a, "second"]), "stored")
          const react =
            "add_reaction($1::uuid, $2::uuid, (SELECT id FROM messages WHERE conversation_id = $1 LIMIT 1), $3, 20)"
          assert.strictEqual(yield* outcomeOf(react, [id, b, "👍"]), "changed")
          const fed =
            yield* sql`SELECT first_seq, last_seq FROM change_feed WHERE conversation_id = ${id}::uuid ORDER BY 1`
          assert.deepStrictEqual(
            fed,
            [1, 2, 3, 4].map((seq) => ({ firstSeq: seq, lastSeq: seq }))
          )
        })
      )

      it.effect("store a draft", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [a = assert.fail()] = yield* people(1)
          const id = yield* groupOf(a)
          assert.strictEqual(yield* outcomeOf("set_draft($1::uuid, $2::uuid, 'later', NULL)", [a, id]), "changed")
          assert.deepStrictEqual(yield* sql`SELECT body FROM drafts WHERE user_id = ${a}`, [{ body: "later" }])
        })
      )
    })
  })
}
