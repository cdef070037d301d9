import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { Acquaintances } from "../../src/services/Acquaintances.ts"
import { chat } from "../support/Chat.ts"
import { databases } from "../support/Database.ts"
import { markersContract } from "./Markers.contract.ts"

describe("fake", () => markersContract(Acquaintances.layerTest.pipe(Layer.provideMerge(chat.fake))))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    markersContract(Layer.merge(chat.sql, Acquaintances.layer).pipe(Layer.provideMerge(database.layer)))
  )
}
