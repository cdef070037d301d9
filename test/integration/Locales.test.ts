import { describe } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { makeSearchIndex } from "../../src/services/messages/search/SearchIndex.ts"
import * as SearchSql from "../../src/services/messages/search/SearchSql.ts"
import { usersContract } from "../contract/identity/Users.contract.ts"
import { Indexing, searchContract } from "../contract/messages/Search.contract.ts"
import { accounts } from "../support/Accounts.ts"
import { chat } from "../support/Chat.ts"
import { locales } from "../support/Database.ts"

const indexing = Layer.effect(
  Indexing,
  Effect.map(makeSearchIndex(), ({ work }) =>
    Indexing.of({
      run: Effect.asVoid(Effect.orDie(Effect.repeat(work, { while: (progress) => progress !== "idle" })))
    })
  )
)

for (const { layer, name, skip } of locales) {
  describe.skipIf(skip)(name, () => {
    searchContract(Layer.merge(SearchSql.layer, indexing).pipe(Layer.provideMerge(chat.sql), Layer.provideMerge(layer)))
    usersContract(accounts.sql.pipe(Layer.provideMerge(layer)))
  })
}
