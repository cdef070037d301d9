import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { conversationsContract } from "./Conversations.contract.ts"

describe("fake", () => conversationsContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    conversationsContract(chat.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
