import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { blocksContract } from "./Blocks.contract.ts"

describe("fake", () => blocksContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => blocksContract(chat.sql.pipe(Layer.provideMerge(database.layer))))
}
