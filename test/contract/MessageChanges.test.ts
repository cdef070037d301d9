import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { MessageChanges } from "../../src/services/MessageChanges.ts"
import { Settings } from "../../src/services/Settings.ts"
import { chat } from "../support/Chat.ts"
import { databases } from "../support/Database.ts"
import { editWindowContract, messageChangesContract } from "./MessageChanges.contract.ts"

const shortWindow = Settings.layerTest({ limits: { editWindow: 1 } })
const late = {
  fake: Layer.fresh(MessageChanges.layerTest).pipe(Layer.provide(shortWindow), Layer.provideMerge(chat.fake)),
  sql: Layer.fresh(MessageChanges.layer).pipe(Layer.provide(shortWindow), Layer.provideMerge(chat.sql))
}

describe("fake", () => {
  messageChangesContract(chat.fake)
  editWindowContract(late.fake)
})

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    messageChangesContract(chat.sql.pipe(Layer.provideMerge(database.layer)))
    editWindowContract(late.sql.pipe(Layer.provideMerge(database.layer)))
  })
}
