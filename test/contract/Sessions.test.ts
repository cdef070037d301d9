import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { accounts } from "../support/Accounts.ts"
import { databases } from "../support/Database.ts"
import { sessionsContract } from "./Sessions.contract.ts"

describe("fake", () => sessionsContract(accounts.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    sessionsContract(accounts.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
