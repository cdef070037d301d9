import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { StreamPositions } from "../../../src/services/log/StreamPositions.ts"
import * as MemoryPositions from "../../../src/testing/memory/StreamPositions.ts"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { streamPositionsContract } from "./StreamPositions.contract.ts"

describe("fake", () => streamPositionsContract(Layer.merge(chat.fake, MemoryPositions.layerMemory)))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    streamPositionsContract(Layer.merge(chat.sql, StreamPositions.layer).pipe(Layer.provideMerge(database.layer)))
  )
}
