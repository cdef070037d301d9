import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { databases } from "../../support/Database.ts"
import { operators } from "../../support/Operators.ts"
import { registrationAdminContract } from "./RegistrationAdmin.contract.ts"

describe("fake", () => registrationAdminContract(operators.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    registrationAdminContract(operators.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
