import { describe } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import * as AttachmentsSql from "../../../src/services/files/AttachmentsSql.ts"
import * as ResumableUploadsSql from "../../../src/services/files/ResumableUploadsSql.ts"
import * as AttachmentsMemory from "../../../src/testing/memory/Attachments.ts"
import * as ResumableUploadsMemory from "../../../src/testing/memory/ResumableUploads.ts"
import { chat } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { resumableUploadsContract, scanner, stuckBlobs } from "./ResumableUploads.contract.ts"

describe("fake", () =>
  resumableUploadsContract(
    Layer.mergeAll(ResumableUploadsMemory.layerMemory, ResumableUploadsMemory.storage, AttachmentsMemory.storage).pipe(
      Layer.provide(stuckBlobs),
      Layer.provideMerge(chat.fake),
      Layer.provide(scanner)
    ),
    TestClock.adjust("24 hours"),
    TestClock.adjust("6 seconds"),
    TestClock.adjust("1 hour")
  ))

const older = SqlClient.SqlClient.use((sql) =>
  Effect.orDie(
    Effect.andThen(
      sql`UPDATE uploads SET expires_at = expires_at - interval '24 hours'`,
      sql`UPDATE uploads SET writer_until = writer_until - interval '24 hours'`
    )
  )
)

const lost = SqlClient.SqlClient.use((sql) =>
  Effect.orDie(sql`UPDATE uploads SET writer_until = writer_until - interval '6 seconds'`)
)

const anHour = SqlClient.SqlClient.use((sql) =>
  Effect.orDie(sql`UPDATE uploads SET expires_at = expires_at - interval '1 hour'`)
)

for (const database of databases) {
  const layer = Layer.mergeAll(ResumableUploadsSql.layer, ResumableUploadsSql.storage, AttachmentsSql.storage).pipe(
    Layer.provide(stuckBlobs),
    Layer.provideMerge(Layer.provide(chat.sql, scanner)),
    Layer.provideMerge(database.layer)
  )
  describe.skipIf(database.skip)(database.name, () => resumableUploadsContract(layer, older, lost, anHour))
}
