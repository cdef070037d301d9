import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import type { ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import { Search } from "../../../src/services/messages/search/Search.ts"
import { makeSearchIndex, searchConsumer } from "../../../src/services/messages/search/SearchIndex.ts"
import { parseQuery } from "../../../src/services/messages/search/SearchQuery.ts"
import * as SearchSql from "../../../src/services/messages/search/SearchSql.ts"
import {
  fewConversations,
  matchStatement,
  searchSettings
} from "../../../src/services/messages/search/SearchStatement.ts"
import { tokenizerVersion } from "../../../src/services/messages/search/Tokenizer.ts"
import * as SearchMemory from "../../../src/testing/memory/Search.ts"
import { chat, entryOf, groupOf, person, store, twoOfUs } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { feed, finished, indexing, isReady } from "../../support/Indexing.ts"
import { Indexing, searchContract } from "./Search.contract.ts"

describe("fake", () =>
  searchContract(
    Layer.merge(SearchMemory.layerMemory, Layer.succeed(Indexing, { run: Effect.void })).pipe(
      Layer.provideMerge(chat.fake)
    )
  ))

const say = (id: ConversationId, senderId: UserId, body: string) =>
  Effect.map(store(entryOf(id, senderId, { body })), ({ ack }) => ack.messageId)

const bodies = (userId: UserId, query: string) =>
  Search.use((search) =>
    Effect.map(search.messages(userId, { query }, { limit: 50 }), ({ items }) => items.map(({ body }) => body))
  )

for (const database of databases) {
  const sql = Layer.merge(SearchSql.layer, indexing).pipe(
    Layer.provideMerge(chat.sql),
    Layer.provideMerge(database.layer)
  )
  describe.skipIf(database.skip)(database.name, () => {
    searchContract(sql)

    it.layer(sql)("the index", (it) => {
      it.effect("keeps the words of the current messages, in steps that each begin where the last one ended", () =>
        Effect.gen(function* () {
          const { run } = yield* Indexing
          const changes = yield* MessageChanges
          const client = yield* SqlClient.SqlClient
          const { a, id } = yield* twoOfUs
          const [edited, deleted] = [yield* say(id, a, "an old word"), yield* say(id, a, "a dead word")]
          const kept = client<{ seq: number; words: string }>`
            SELECT seq, regexp_replace(words::text, ' *''[csw] [0-9a-f-]+'' *', '', 'g') AS words
            FROM message_words WHERE conversation_id = ${id}::uuid ORDER BY seq`
          yield* run
          assert.lengthOf(yield* kept, 2)
          yield* changes.edit(a, id, edited, { body: "new" })
          yield* changes.delete(a, id, deleted)
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

      it.effect("is written again when the tokenizer has another version, in small steps, while search works", () =>
        Effect.gen(function* () {
          const client = yield* SqlClient.SqlClient
          const { run } = yield* Indexing
          const changes = yield* MessageChanges
          const { a, id } = yield* twoOfUs
          const edited = yield* say(id, a, "first draft")
          for (const n of [2, 3, 4, 5]) yield* say(id, a, `report ${n}`)
          yield* run
          // The words that another tokenizer would make, which reads "report" as "other".
          yield* client`
            UPDATE message_words SET words = replace(words::text, '''report''', '''other''')::tsvector
            WHERE conversation_id = ${id}::uuid`
          const next = yield* makeSearchIndex({ version: tokenizerVersion + 1, eventsPerStep: 2 })
          const state = Effect.map(
            client<{ tokenizer: number; renewedSeq: number; seq: number }>`
              SELECT tokenizer, renewed_seq, seq FROM search_heads WHERE conversation_id = ${id}::uuid`,
            ([head]) => head
          )
          assert.deepStrictEqual(yield* state, { tokenizer: tokenizerVersion, renewedSeq: 6, seq: 6 })
          assert.lengthOf(yield* bodies(a, "other"), 4)

          yield* changes.edit(a, id, edited, { body: "first report" })
          yield* say(id, a, "report 8")
          yield* isReady(searchConsumer)
          yield* next.work
          // New messages are indexed first, so that a search need not read them; the old words still answer.
          assert.deepInclude(yield* state, { tokenizer: tokenizerVersion + 1, seq: 8 })
          assert.includeMembers([...(yield* bodies(a, "report"))], ["first report", "report 8"])
          let renewed = 0
          while (true) {
            const now = (yield* state)?.renewedSeq ?? 0
            assert.isAtMost(now - renewed, 2)
            assert.lengthOf(new Set([...(yield* bodies(a, "report")), ...(yield* bodies(a, "other"))]), 6)
            if (now === 8) break
            renewed = now
            yield* next.work
          }
          yield* finished(next)
          assert.deepStrictEqual(yield* state, { tokenizer: tokenizerVersion + 1, renewedSeq: 8, seq: 8 })
          assert.lengthOf(yield* bodies(a, "report"), 6)
          assert.lengthOf(yield* bodies(a, "other"), 0)

          // A node with the older tokenizer indexes new messages, and leaves it to the others to write their words
          // again.
          yield* say(id, a, "report 9")
          yield* run
          assert.deepStrictEqual(yield* state, { tokenizer: tokenizerVersion + 1, renewedSeq: 8, seq: 9 })
          // They learn of it with the next change, wherever that is.
          yield* twoOfUs
          yield* finished(next)
          assert.deepStrictEqual(yield* state, { tokenizer: tokenizerVersion + 1, renewedSeq: 9, seq: 9 })
        })
      )

      it.effect("follows the logs that were written to, and one sweep finds what is not in the feed", () =>
        Effect.gen(function* () {
          const client = yield* SqlClient.SqlClient
          const { a, id } = yield* twoOfUs
          const left = yield* groupOf(a)
          const index = yield* makeSearchIndex({ version: tokenizerVersion + 1 })
          yield* finished(index)
          const heads = Effect.map(
            client<{ id: string; seq: number }>`SELECT conversation_id AS id, seq FROM search_heads
              WHERE conversation_id IN (${id}::uuid, ${left}::uuid)`,
            (rows) => [left, id].map((each) => rows.find((row) => row.id === each)?.seq)
          )
          yield* say(left, a, "left by a release without a feed")
          yield* client`DELETE FROM change_feed`
          yield* say(id, a, "written here")
          yield* finished(index)
          assert.deepStrictEqual(yield* heads, [1, 2])
          assert.lengthOf(yield* bodies(a, "left or here"), 2)
          // A node that starts finds out how far the sweep is.
          yield* finished(yield* makeSearchIndex({ version: tokenizerVersion + 1 }))
          assert.deepStrictEqual(yield* heads, [1, 2])
          yield* finished(yield* makeSearchIndex({ version: tokenizerVersion + 2 }))
          assert.deepStrictEqual(yield* heads, [2, 2])
        })
      )

      it.effect("is swept while users go on writing", () =>
        Effect.gen(function* () {
          const client = yield* SqlClient.SqlClient
          const { a, id } = yield* twoOfUs
          const left = yield* groupOf(a)
          yield* say(left, a, "left by a release without a feed")
          yield* client`DELETE FROM change_feed`
          const index = yield* makeSearchIndex({ version: tokenizerVersion + 3 })
          for (let turn = 0; turn < 20; turn++) {
            yield* say(id, a, "busy")
            yield* isReady(searchConsumer)
            yield* index.work
          }
          assert.lengthOf(yield* client`SELECT FROM search_heads WHERE conversation_id = ${left}::uuid AND seq = 2`, 1)
        })
      )

      it.effect("may be any number of messages late, because search reads some of them for each page", () =>
        Effect.gen(function* () {
          const client = yield* SqlClient.SqlClient
          const { run } = yield* Indexing
          const { a, id } = yield* twoOfUs
          yield* say(id, a, "the oldest wave")
          yield* run
          yield* client`
            INSERT INTO messages (conversation_id, seq, id, sender_id, client_message_id, request_hash, type, body,
                created_at, changed_seq)
              SELECT ${id}::uuid, n, gen_random_uuid(), ${a}::uuid, 'late ' || n, '\\x00', 'text',
                CASE WHEN n % 400 = 0 THEN 'wave ' || n ELSE 'calm' END,
                clock_timestamp() + n * interval '1 millisecond', n
              FROM generate_series(3, 1302) n`
          yield* client`UPDATE conversation_heads SET seq = 1302 WHERE conversation_id = ${id}::uuid`
          const pages: Array<ReadonlyArray<string>> = []
          let cursor: string | undefined
          do {
            const page = yield* Search.use((search) => search.messages(a, { query: "wave" }, { limit: 50, cursor }))
            pages.push(page.items.map(({ body }) => body))
            cursor = page.nextCursor
          } while (cursor !== undefined)
          assert.deepStrictEqual(pages, [["wave 1200"], ["wave 800", "wave 400"], ["the oldest wave"]])
          yield* feed(id, 3, 1302)
          yield* run
          assert.deepStrictEqual(yield* bodies(a, "wave"), ["wave 1200", "wave 800", "wave 400", "the oldest wave"])
        })
      )

      it.effect("takes fewer messages at a time when they are long", () =>
        Effect.gen(function* () {
          const client = yield* SqlClient.SqlClient
          const { run } = yield* Indexing
          const { a, id } = yield* twoOfUs
          yield* run
          yield* client`DELETE FROM search_heads WHERE conversation_id = ${id}::uuid`
          yield* client`
            INSERT INTO messages (conversation_id, seq, id, sender_id, client_message_id, request_hash, type, body,
                created_at, changed_seq)
              SELECT ${id}::uuid, n, gen_random_uuid(), ${a}::uuid, 'long ' || n, '\\x00', 'text',
                'tide ' || repeat('x', 7990), clock_timestamp() + n * interval '1 millisecond', n
              FROM generate_series(2, 101) n`
          yield* client`UPDATE conversation_heads SET seq = 101 WHERE conversation_id = ${id}::uuid`
          const page = yield* Search.use((search) => search.messages(a, { query: "tide" }, { limit: 200 }))
          assert.lengthOf(page.items, 51)
          assert.property(page, "nextCursor")
          const index = yield* makeSearchIndex({ eventsPerStep: 100 })
          yield* feed(id, 2, 101)
          yield* isReady(searchConsumer)
          assert.strictEqual(yield* index.work, "behind")
          const [head] = yield* client<{
            seq: number
          }>`SELECT seq FROM search_heads WHERE conversation_id = ${id}::uuid`
          assert.strictEqual(head?.seq, 7)
          yield* finished(index)
          const all = yield* Search.use((search) => search.messages(a, { query: "tide" }, { limit: 200 }))
          assert.lengthOf(all.items, 100)
        })
      )

      it.effect("finds messages of any age, in few and in many conversations", () =>
        Effect.gen(function* () {
          const client = yield* SqlClient.SqlClient
          const { run } = yield* Indexing
          const { a, id } = yield* twoOfUs
          yield* client`
            INSERT INTO messages (conversation_id, seq, id, sender_id, client_message_id, request_hash, type, body,
                created_at, changed_seq)
              SELECT ${id}::uuid, n, gen_random_uuid(), ${a}::uuid, 'old ' || n, '\\x00', 'text', 'month ' || n,
                clock_timestamp() - (26 - n) * interval '30 days', n
              FROM generate_series(2, 27) n`
          yield* client`UPDATE conversation_heads SET seq = 27 WHERE conversation_id = ${id}::uuid`
          yield* feed(id, 2, 27)
          yield* run
          const all = Array.from({ length: 26 }, (_, n) => `month ${27 - n}`)
          assert.deepStrictEqual(yield* bodies(a, "month"), all)
          for (let made = 0; made < fewConversations; made += 50) {
            yield* Effect.replicateEffect(groupOf(a), 50, { concurrency: 8 })
            yield* TestClock.adjust("1 minute")
          }
          assert.deepStrictEqual(yield* bodies(a, "month"), all)
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
            SELECT gen_random_uuid(), 2, ${b}::uuid, at.at, to_tsvector('simple', 'common w' || n % 997)
              || array_to_tsvector(ARRAY['c ' || n, week_lexeme(at.at)])
            FROM generate_series(1, 100000) n CROSS JOIN LATERAL (SELECT now() - n * interval '10 minutes') AS at(at)`
          for (const body of ["a needle, common", "common"]) yield* store(entryOf(id, a, { body }))
          yield* run
          yield* client`ANALYZE message_words`
          for (const query of ["needle", "common"]) {
            const now = Date.now()
            const scope = { userId: a, search: { query }, query: parseQuery(query), to: undefined, from: undefined }
            for (const reach of ["all", { within: { since: now - 28 * 86_400_000, before: now } }] as const) {
              const statement = matchStatement(client, scope, null, reach, 1000)
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
