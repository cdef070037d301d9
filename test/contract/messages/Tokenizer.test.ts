import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import * as fc from "fast-check"
import { matches, parseQuery, toTsquery } from "../../../src/services/messages/search/SearchQuery.ts"
import { tokenize, toTsvector } from "../../../src/services/messages/search/Tokenizer.ts"
import { databases } from "../../support/Database.ts"

const chars = "abAB上海ก้각'\\\":*&|!()<>.-/ 🎉 éß12"
const texts = fc.string({ unit: fc.constantFrom(...chars), maxLength: 24 })
const hostile = [
  "'",
  "\\",
  "''",
  "a'b",
  "x".repeat(8000),
  "上".repeat(8000),
  "ha ".repeat(2667),
  "ﷺ".repeat(8000),
  "a:* & b"
]

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    layer(database.layer)("words and queries", (it) => {
      it.effect("mean the same to PostgreSQL and to the tokenizer", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const random = fc.sample(fc.tuple(texts, texts), { numRuns: 2000, seed: 7 })
          const pairs = [
            ...random,
            ...random.map(([text]) => [text, text] as const),
            ...hostile.map((h) => [h, h] as const)
          ]
          const ours = pairs.map(([text, query]) => matches(parseQuery(query), tokenize(text)))
          const rows = yield* sql<{ found: boolean }>`
            SELECT t.vector::tsvector @@ t.query::tsquery AS found FROM unnest(
              ${pairs.map(([text]) => toTsvector(tokenize(text)))}::text[],
              ${pairs.map(([, query]) => toTsquery(parseQuery(query)))}::text[]
            ) WITH ORDINALITY AS t(vector, query, n) ORDER BY t.n`
          const different = pairs.filter((_, n) => rows[n]?.found !== ours[n])
          assert.deepStrictEqual(different, [])
          assert.isAbove(ours.filter((found) => found).length, 1000)
          assert.isAbove(ours.filter((found) => !found).length, 1000)
        })
      )
    })
  })
}
