import { describe } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { ConversationAdmin } from "../../../src/services/admin/ConversationAdmin.ts"
import * as AvatarsSql from "../../../src/services/files/AvatarsSql.ts"
import * as AvatarsMemory from "../../../src/testing/memory/Avatars.ts"
import * as ConversationAdminMemory from "../../../src/testing/memory/ConversationAdmin.ts"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { avatarsContract, plainSquares } from "./Avatars.contract.ts"

const fake = Layer.merge(
  AvatarsMemory.layerMemory.pipe(Layer.provide(plainSquares)),
  ConversationAdminMemory.layerMemory
).pipe(Layer.provideMerge(chat.fake))

describe("fake", () => avatarsContract(fake, TestClock.adjust("1 hour")))

for (const database of databases) {
  const sql = Layer.merge(AvatarsSql.layer.pipe(Layer.provide(plainSquares)), ConversationAdmin.layer).pipe(
    Layer.provideMerge(chat.sql),
    Layer.provideMerge(database.layer)
  )
  describe.skipIf(database.skip)(database.name, () =>
    avatarsContract(
      sql,
      SqlClient.SqlClient.use((sql) => Effect.orDie(sql`UPDATE blobs SET check_at = check_at - interval '1 hour'`))
    )
  )
}
