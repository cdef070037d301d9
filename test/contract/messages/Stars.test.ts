import { describe } from "@effect/vitest"
import { Layer } from "effect"
import * as DraftsSql from "../../../src/services/messages/DraftsSql.ts"
import { Sync } from "../../../src/services/messages/Sync.ts"
import * as DraftsMemory from "../../../src/testing/memory/Drafts.ts"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { starsContract } from "./Stars.contract.ts"

describe("fake", () =>
  starsContract(Sync.layer.pipe(Layer.provideMerge(DraftsMemory.layerMemory), Layer.provideMerge(chat.fake))))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    starsContract(
      Sync.layer.pipe(
        Layer.provideMerge(DraftsSql.layer),
        Layer.provideMerge(chat.sql),
        Layer.provideMerge(database.layer)
      )
    )
  )
}
