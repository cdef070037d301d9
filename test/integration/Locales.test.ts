import { describe } from "@effect/vitest"
import { Layer } from "effect"
import * as SearchSql from "../../src/services/messages/search/SearchSql.ts"
import { usersContract } from "../contract/identity/Users.contract.ts"
import { searchContract } from "../contract/messages/Search.contract.ts"
import { accounts } from "../support/Accounts.ts"
import { chat } from "../support/Chat.ts"
import { locales } from "../support/Database.ts"
import { indexing } from "../support/Indexing.ts"

for (const { layer, name, skip } of locales) {
  describe.skipIf(skip)(name, () => {
    searchContract(Layer.merge(SearchSql.layer, indexing).pipe(Layer.provideMerge(chat.sql), Layer.provideMerge(layer)))
    usersContract(accounts.sql.pipe(Layer.provideMerge(layer)))
  })
}
