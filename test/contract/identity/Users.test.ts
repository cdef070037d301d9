import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { accounts } from "../../support/Accounts.ts"
import { databases } from "../../support/Database.ts"
import { usersContract } from "./Users.contract.ts"

describe("fake", () => usersContract(accounts.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    usersContract(accounts.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
