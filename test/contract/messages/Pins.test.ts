import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { pinsContract } from "./Pins.contract.ts"

describe("fake", () => pinsContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => pinsContract(chat.sql.pipe(Layer.provideMerge(database.layer))))
}
