import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { threadsContract } from "./Threads.contract.ts"

describe("fake", () => threadsContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    threadsContract(chat.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
