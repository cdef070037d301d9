import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { payloadsContract } from "./Payloads.contract.ts"

describe("fake", () => payloadsContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    payloadsContract(chat.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
