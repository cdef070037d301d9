import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { ConversationChanges } from "../../../src/services/conversations/ConversationChanges.ts"
import { DisappearingMessages } from "../../../src/services/messages/DisappearingMessages.ts"
import * as ConversationChangesMemory from "../../../src/testing/memory/ConversationChanges.ts"
import * as DisappearingMessagesMemory from "../../../src/testing/memory/DisappearingMessages.ts"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { Time } from "../../support/Time.ts"
import { disappearingMessagesContract } from "./DisappearingMessages.contract.ts"

describe("fake", () =>
  disappearingMessagesContract(
    Layer.mergeAll(
      ConversationChangesMemory.layerMemory,
      DisappearingMessagesMemory.layerMemory,
      Time.layerMemory
    ).pipe(Layer.provideMerge(chat.fake))
  ))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    disappearingMessagesContract(
      Layer.mergeAll(ConversationChanges.layer, DisappearingMessages.layer, Time.layer).pipe(
        Layer.provideMerge(chat.sql),
        Layer.provideMerge(database.layer)
      )
    )
  )
}
