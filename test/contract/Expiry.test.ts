import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { ConversationChanges } from "../../src/services/ConversationChanges.ts"
import { Expiry } from "../../src/services/Expiry.ts"
import { chat } from "../support/Chat.ts"
import { databases } from "../support/Database.ts"
import { Time } from "../support/Time.ts"
import { expiryContract } from "./Expiry.contract.ts"

describe("fake", () =>
  expiryContract(
    Layer.mergeAll(ConversationChanges.layerTest, Expiry.layerTest, Time.layerTest).pipe(Layer.provideMerge(chat.fake))
  ))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    expiryContract(
      Layer.mergeAll(ConversationChanges.layer, Expiry.layer, Time.layer).pipe(
        Layer.provideMerge(chat.sql),
        Layer.provideMerge(database.layer)
      )
    )
  )
}
