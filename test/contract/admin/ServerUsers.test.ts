import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { databases } from "../../support/Database.ts"
import { operators } from "../../support/Operators.ts"
import { serverUsersContract } from "./ServerUsers.contract.ts"

describe("fake", () => serverUsersContract(operators.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    serverUsersContract(operators.sql.pipe(Layer.provideMerge(database.layer)))
  })
}
