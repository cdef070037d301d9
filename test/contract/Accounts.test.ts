import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { chat } from "../support/Chat.ts"
import { databases } from "../support/Database.ts"
import { accountsContract } from "./Accounts.contract.ts"

describe("fake", () => accountsContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    accountsContract(chat.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
