import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { firstContactsContract } from "./FirstContacts.contract.ts"

describe("fake", () => firstContactsContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    firstContactsContract(chat.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
