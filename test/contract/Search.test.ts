import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, UserId } from "../../src/domain/Ids.ts"
import { MessageChanges } from "../../src/services/MessageChanges.ts"
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
        do after = yield* Effect.orDie(step(after))
        while (after !== beginning)
      })
    })
  )
)

describe("fake", () =>
  searchContract(
    Layer.merge(Search.layerTest, Layer.succeed(Indexing, { run: Effect.void })).pipe(Layer.provideMerge(chat.fake))
  ))

const say = (id: ConversationId, senderId: UserId, body: string) =>
  Effect.map(store(entryOf(id, senderId, { body })), ({ ack }) => ack.messageId)

const bodies = (userId: UserId, query: string) =>
  Search.use((search) =>
    Effect.map(search.messages(userId, { query }, { limit: 50 }), ({ items }) => items.map(({ body }) => body))
  )

for (const database of databases) {
  const sql = Layer.merge(Search.layer, indexing).pipe(Layer.provideMerge(chat.sql), Layer.provideMerge(database.layer))
  describe.skipIf(database.skip)(database.name, () => {
    searchContract(sql)

    it.layer(sql)("the index", (it) => {
      it.effect("keeps the words of what is there, in steps that begin where the last one ended", () =>
        Effect.gen(function* () {
          const { run } = yield* Indexing
          const changes = yield* MessageChanges
          const client = yield* SqlClient.SqlClient
          const { a, id } = yield* twoOfUs
          const [edited, deleted] = [yield* say(id, a, "an old word"), yield* say(id, a, "a dead word")]
          const kept = client<{ seq: number; words: string }>`
            SELECT seq, ts_delete(words, ARRAY[conversation_lexeme(conversation_id), week_lexeme(created_at)])::text AS words
            FROM message_words WHERE conversation_id = ${id}::uuid ORDER BY seq`
          yield* run
          assert.lengthOf(yield* kept, 2)
          yield* changes.edit(a, id, edited, { body: "new" })
          yield* changes.remove(a, id, deleted)
          yield* say(id, a, "third")
          yield* run
          assert.deepStrictEqual(yield* kept, [
            { seq: 2, words: "'new':1" },
            { seq: 6, words: "'third':1" }
          ])
          yield* client`UPDATE message_words SET words = ''`
          yield* run
          const untouched = yield* client`SELECT FROM message_words WHERE words <> ''`
          assert.lengthOf(untouched, 0)
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
            const now = Date.now()
            for (const span of [undefined, { since: now - 28 * 86_400_000, until: now }]) {
              const statement = searchStatement(client, a, { query }, {}, 50, span)
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
