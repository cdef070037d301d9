import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { reactionsContract } from "./Reactions.contract.ts"

describe("fake", () => reactionsContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    reactionsContract(chat.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
