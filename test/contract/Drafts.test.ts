import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { Drafts } from "../../src/services/Drafts.ts"
import { Sync } from "../../src/services/Sync.ts"
import { chat } from "../support/Chat.ts"
import { databases } from "../support/Database.ts"
import { draftsContract } from "./Drafts.contract.ts"

describe("fake", () =>
  draftsContract(Sync.layer.pipe(Layer.provideMerge(Drafts.layerTest), Layer.provideMerge(chat.fake))))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    draftsContract(
      Sync.layer.pipe(
        Layer.provideMerge(Drafts.layer),
        Layer.provideMerge(chat.sql),
        Layer.provideMerge(database.layer)
      )
    )
  )
}
