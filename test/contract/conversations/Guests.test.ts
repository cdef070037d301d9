import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { databases } from "../../support/Database.ts"
import { operators } from "../../support/Operators.ts"
import { guestsContract } from "./Guests.contract.ts"

describe("fake", () => guestsContract(operators.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    guestsContract(operators.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
