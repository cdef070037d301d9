import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { databases } from "../../support/Database.ts"
import { operators } from "../../support/Operators.ts"
import { serverConversationsContract } from "./ServerConversations.contract.ts"

describe("fake", () => serverConversationsContract(operators.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    serverConversationsContract(operators.sql.pipe(Layer.provideMerge(database.layer)))
  })
}
