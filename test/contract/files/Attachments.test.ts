import { describe } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import * as AttachmentsSql from "../../../src/services/files/AttachmentsSql.ts"
import * as AttachmentsMemory from "../../../src/testing/memory/Attachments.ts"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { attachmentsContract } from "./Attachments.contract.ts"

describe("fake", () =>
  attachmentsContract(AttachmentsMemory.storage.pipe(Layer.provideMerge(chat.fake)), TestClock.adjust("24 hours")))

for (const database of databases) {
  const layer = AttachmentsSql.storage.pipe(Layer.provideMerge(chat.sql), Layer.provideMerge(database.layer))
  describe.skipIf(database.skip)(database.name, () =>
    attachmentsContract(
      layer,
      SqlClient.SqlClient.use((sql) =>
        Effect.orDie(
          Effect.andThen(
            sql`UPDATE attachments SET created_at = created_at - interval '24 hours'`,
            sql`UPDATE blobs SET check_at = check_at - interval '24 hours'`
          )
        )
      )
    )
  )
}
