import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { databases } from "../../support/Database.ts"
import { operators } from "../../support/Operators.ts"
import { principalsContract } from "./Principals.contract.ts"

describe("fake", () => principalsContract(operators.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    principalsContract(operators.sql.pipe(Layer.provideMerge(database.layer)))
  })
}
