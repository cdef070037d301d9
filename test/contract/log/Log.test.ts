import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { logContract } from "./Log.contract.ts"

describe("fake", () => logContract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => logContract(chat.sql.pipe(Layer.provideMerge(database.layer))))
}
