import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { invitesContract } from "./Invites.contract.ts"

describe("fake", () => invitesContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    invitesContract(chat.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
