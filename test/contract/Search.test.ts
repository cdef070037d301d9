import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, UserId } from "../../src/domain/Ids.ts"
import { Search } from "../../src/services/Search.ts"
import { makeSearchIndex } from "../../src/services/SearchIndex.ts"
import { searchSettings, searchStatement } from "../../src/services/SearchSql.ts"
import { chat, entryOf, groupOf, person, store, twoOfUs } from "../support/Chat.ts"
import { databases } from "../support/Database.ts"
import { Indexing, searchContract } from "./Search.contract.ts"

const beginning = "00000000-0000-0000-0000-000000000000"

const indexing = Layer.effect(
  Indexing,
  Effect.map(makeSearchIndex, (step) =>
    Indexing.of({
      run: Effect.gen(function* () {
        let after = beginning
        do after = yield* step(after)
        while (after !== beginning)
      })
    })
  )
)

describe("fake", () =>
  searchContract(
    Layer.merge(Search.layerTest, Layer.succeed(Indexing, { run: Effect.void })).pipe(Layer.provideMerge(chat.fake))
  ))

/** As an edit and a deletion do. */
const change = (id: ConversationId, seq: number, actorId: UserId, event: "message.edited" | "message.deleted") =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.andThen(
      sql`UPDATE messages SET body = ${event === "message.edited" ? "a new word" : ""}, edited_at = now(),
        deleted_at = CASE WHEN ${event === "message.deleted"} THEN now() END
        WHERE conversation_id = ${id}::uuid AND seq = ${seq}::bigint`,
      sql`SELECT add_event(${id}::uuid, ${event}, ${actorId}::uuid, ${seq}::bigint, '{}')`
    )
  )

const bodies = (userId: UserId, query: string) =>
  Search.use((search) =>
    Effect.map(search.messages(userId, { query }, { limit: 50 }), ({ items }) => items.map(({ body }) => body))
  )

for (const database of databases) {
  const sql = Layer.merge(Search.layer, indexing).pipe(Layer.provideMerge(chat.sql), Layer.provideMerge(database.layer))
  describe.skipIf(database.skip)(database.name, () => {
    searchContract(sql)

    it.layer(sql)("the index", (it) => {
      it.effect("follows edits and deletions, and nobody finds what is gone before it does", () =>
        Effect.gen(function* () {
          const { run } = yield* Indexing
          const { a, id } = yield* twoOfUs
          for (const body of ["an old word", "a dead word"]) yield* store(entryOf(id, a, { body }))
          const check = Effect.gen(function* () {
            assert.deepStrictEqual(yield* bodies(a, "word"), ["a new word"])
            assert.deepStrictEqual(yield* bodies(a, "new"), ["a new word"])
            assert.deepStrictEqual([...(yield* bodies(a, "old")), ...(yield* bodies(a, "dead"))], [])
          })
          yield* run
          assert.lengthOf(yield* bodies(a, "word"), 2)
          yield* change(id, 2, a, "message.edited")
          yield* change(id, 3, a, "message.deleted")
          yield* check
          yield* run
          yield* check
          const client = yield* SqlClient.SqlClient
          const left = yield* client`SELECT seq FROM message_words WHERE conversation_id = ${id}::uuid`
          assert.deepStrictEqual(left, [{ seq: 2 }])
        })
      )

      it.effect("finds a rare and a common word among 100,000 messages without reading them all", () =>
        Effect.gen(function* () {
          const client = yield* SqlClient.SqlClient
          const { run } = yield* Indexing
          const [a, b] = [yield* person, yield* person]
          const id = yield* groupOf(a)
          yield* client`
            INSERT INTO message_words (conversation_id, seq, sender_id, created_at, words)
            SELECT gen_random_uuid(), 2, ${b}::uuid, at.at, searchable('common w' || n % 997)
              || array_to_tsvector(ARRAY['c ' || n, week_lexeme(at.at)])
            FROM generate_series(1, 100000) n CROSS JOIN LATERAL (SELECT now() - n * interval '10 minutes') AS at(at)`
          for (const body of ["a needle, common", "common"]) yield* store(entryOf(id, a, { body }))
          yield* run
          yield* client`ANALYZE message_words`
          for (const query of ["needle", "common"]) {
            for (const since of [undefined, Date.now() - 28 * 86_400_000]) {
              const statement = searchStatement(client, a, { query }, {}, 50, since)
              const plan = JSON.stringify(
                yield* client.withTransaction(Effect.andThen(searchSettings(client), client`EXPLAIN ${statement}`))
              )
              assert.include(plan, "Bitmap Index Scan on message_words_words")
              assert.notInclude(plan, "Seq Scan on message_words")
            }
            assert.lengthOf(yield* bodies(a, query), query === "needle" ? 1 : 2)
          }
        })
      )
    })
  })
}
