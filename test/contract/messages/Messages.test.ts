import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { messagesContract } from "./Messages.contract.ts"

describe("fake", () => messagesContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    messagesContract(chat.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
