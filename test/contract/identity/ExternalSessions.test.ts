import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { makeAccounts } from "../../support/Accounts.ts"
import { databases } from "../../support/Database.ts"
import { Issuers } from "../../support/Issuers.ts"
import { externalSessionsContract } from "./ExternalSessions.contract.ts"

describe("fake", () => externalSessionsContract(Issuers.trusted((auth) => makeAccounts(auth).fake)))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    externalSessionsContract(Issuers.trusted((auth) => makeAccounts(auth).sql).pipe(Layer.provideMerge(database.layer)))
  })
}
