import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { mentionsContract } from "./Mentions.contract.ts"

describe("fake", () => mentionsContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    mentionsContract(chat.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
