import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { membersContract } from "./Members.contract.ts"

describe("fake", () => membersContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    membersContract(chat.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
