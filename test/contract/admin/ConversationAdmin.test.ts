import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Emoji } from "../../../src/domain/Emoji.ts"
import { ConversationAdmin } from "../../../src/services/admin/ConversationAdmin.ts"
import { Reactions } from "../../../src/services/messages/Reactions.ts"
import { makePurge } from "../../../src/services/platform/Purge.ts"
import { dmOf, groupOf, people, post, wholeLog } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { operators } from "../../support/Operators.ts"
import { conversationAdminContract } from "./ConversationAdmin.contract.ts"

describe("fake", () => conversationAdminContract(operators.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    const withDatabase = operators.sql.pipe(Layer.provideMerge(database.layer))
    conversationAdminContract(withDatabase)

    layer(withDatabase)("the purge", (it) => {
      it.effect(
        "deletes every row of a deleted conversation, after a minute and in small steps, and no other row",
        () =>
          Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            const purge = yield* makePurge
            const [a = assert.fail(), b = assert.fail()] = yield* people(2)
            const [id, kept] = [yield* groupOf(a, b), yield* dmOf(a, b)]
            const message = yield* post(id, a, { body: "hello @all" })
            yield* Reactions.use((reactions) => reactions.add(b, id, message.id, Schema.decodeSync(Emoji)("👍")))
            yield* sql`INSERT INTO messages (conversation_id, seq, id, sender_id, client_message_id, request_hash, type, body,
              created_at, changed_seq)
            SELECT ${id}::uuid, n, gen_random_uuid(), ${a}::uuid, 'x' || n, '', 'text', '', now(), n
            FROM generate_series(1000, 1600) n`
            yield* post(kept, a)
            const before = yield* wholeLog(kept)

            /** The tables with rows of a conversation, whatever they are called. Those of the change feed go once they are read. */
            const tablesWith = Effect.fnUntraced(function* (conversationId: string) {
              const tables = yield* sql<{ name: string }>`SELECT c.table_name AS name FROM information_schema.columns c
              JOIN information_schema.tables t USING (table_schema, table_name)
              WHERE c.column_name = 'conversation_id' AND t.table_type = 'BASE TABLE' AND c.table_schema = 'public'
                AND c.table_name <> 'change_feed'`
              assert.isAbove(tables.length, 15)
              const found = yield* Effect.filter(tables, ({ name }) =>
                Effect.map(
                  sql`SELECT FROM ${sql(name)} WHERE conversation_id = ${conversationId}::uuid LIMIT 1`,
                  (rows) => rows.length > 0
                )
              )
              return found.map(({ name }) => name).sort()
            })
            const ofOther = yield* tablesWith(kept)
            assert.includeMembers(yield* tablesWith(id), ["messages", "mentions", "message_reactions"])
            yield* ConversationAdmin.use((admin) => admin.delete("cli:ann", id))
            assert.isFalse(yield* purge, "changes that were under way have a minute")
            assert.include(yield* tablesWith(id), "messages")
            yield* sql`UPDATE conversations SET deleted_at = deleted_at - interval '61 seconds' WHERE id = ${id}`
            assert.isTrue(yield* purge, "500 rows of a table are a step")
            yield* Effect.repeat(purge, { while: (more) => more, times: 10 })
            yield* purge
            assert.deepStrictEqual(yield* tablesWith(id), [])
            assert.lengthOf(yield* sql`SELECT FROM conversations WHERE id = ${id}`, 0)
            assert.deepStrictEqual(yield* tablesWith(kept), ofOther)
            assert.deepStrictEqual(yield* wholeLog(kept), before)
          })
      )
    })
  })
}
