import { describe } from "@effect/vitest"
import { Layer } from "effect"
import { Contacts } from "../../../src/services/identity/Contacts.ts"
import * as ContactsMemory from "../../../src/testing/memory/Contacts.ts"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { readMarkersContract } from "./ReadMarkers.contract.ts"

describe("fake", () => readMarkersContract(ContactsMemory.layerMemory.pipe(Layer.provideMerge(chat.fake))))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    readMarkersContract(Layer.merge(chat.sql, Contacts.layer).pipe(Layer.provideMerge(database.layer)))
  )
}
