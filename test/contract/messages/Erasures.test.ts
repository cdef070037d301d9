import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { Erasures } from "../../../src/services/messages/Erasures.ts"
import * as ErasuresMemory from "../../../src/testing/memory/Erasures.ts"
import { databases } from "../../support/Database.ts"
import { operators } from "../../support/Operators.ts"
import { erasuresContract } from "./Erasures.contract.ts"

describe("fake", () => erasuresContract(ErasuresMemory.layerMemory.pipe(Layer.provideMerge(operators.fake))))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    erasuresContract(Erasures.layer.pipe(Layer.provideMerge(operators.sql), Layer.provideMerge(database.layer)))
  )
}
