import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { Attachment } from "../../domain/Attachment.ts"
import type { AttachmentId } from "../../domain/Ids.ts"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { AttachmentStorage, type StoredAttachment } from "./AttachmentStorage.ts"
import { Attachments } from "./Attachments.ts"
import type { Full } from "./StorageLimits.ts"
import * as Uploaders from "./UploadersSql.ts"
import { UploadLimits } from "./UploadLimits.ts"

/** The rows of attachments on PostgreSQL. */
export const storage = Layer.effect(
  AttachmentStorage,
  Effect.map(SqlClient.SqlClient, (sql) =>
    AttachmentStorage.of({
      begin: (userId, id, blobId, limits) =>
        sql<{ outcome: "begun" | Full }>`SELECT begin_attachment(${id}::uuid, ${blobId}::uuid, ${userId}::uuid,
          ${limits.user}::bigint, ${limits.all}::bigint) AS outcome`.pipe(
          Effect.map(([row]) => row?.outcome ?? "full"),
          orUnavailable
        ),
      complete: ({ attachment, blobId, sha256 }, storedBytes, limits) =>
        sql<{ outcome: "stored" | "gone" | Full }>`SELECT complete_attachment(${attachment.id}::uuid,
          ${blobId}::uuid, ${attachment.size}::bigint, ${storedBytes}::bigint, ${Buffer.from(sha256, "hex")}::bytea,
          ${JSON.stringify(attachment)}::json, ${limits.user}::bigint, ${limits.all}::bigint) AS outcome`.pipe(
          retryDeadlocks,
          Effect.map(([row]) => row?.outcome ?? "gone"),
          orUnavailable
        ),
      drop: (userId, id, blobId) =>
        sql<{ dropped: number }>`SELECT drop_attachments(ARRAY(SELECT a.id FROM attachments a
          WHERE a.id = ${id}::uuid AND a.owner_id = ${userId}::uuid AND a.message_seq IS NULL
            AND a.blob_id = COALESCE(${blobId ?? null}::uuid, a.blob_id) FOR UPDATE)) AS dropped`.pipe(
          retryDeadlocks,
          Effect.map(([row]) => row?.dropped === 1),
          orUnavailable
        ),
      unsent: (userId, ids) =>
        sql<{ id: AttachmentId; data: Attachment | null }>`SELECT id, data FROM attachments
          WHERE id = ANY (${ids}::uuid[]) AND owner_id = ${userId}::uuid AND message_seq IS NULL`.pipe(
          Effect.map((rows) => new Map(rows.map(({ data, id }) => [id, data]))),
          orUnavailable
        ),
      seenBy: (userId, id) =>
        sql<StoredAttachment>`SELECT a.data AS attachment, a.blob_id, encode(b.sha256, 'hex') AS sha256
          FROM attachments a JOIN blobs b ON b.id = a.blob_id
          WHERE a.id = ${id}::uuid AND a.data IS NOT NULL
            AND EXISTS (SELECT FROM users u WHERE u.id = ${userId}::uuid AND u.deleted_at IS NULL
              AND u.disabled_at IS NULL)
            AND CASE WHEN a.message_seq IS NULL THEN a.owner_id = ${userId}::uuid ELSE EXISTS (
              SELECT FROM conversation_members me WHERE me.conversation_id = a.conversation_id
                AND me.user_id = ${userId}::uuid AND me.left_seq IS NULL AND me.visible_from_seq <= a.message_seq)
              END`.pipe(
          Effect.map(([row]) => row),
          orUnavailable
        ),
      use: (userId) =>
        sql<{
          bytes: number
          files: number
        }>`SELECT COALESCE(s.bytes, 0) + u.bytes AS bytes, COALESCE(s.files, 0) + u.files AS files
          FROM (SELECT COALESCE(sum(size), 0)::bigint AS bytes, count(*) AS files FROM uploads
            WHERE owner_id = ${userId}::uuid) u LEFT JOIN user_storage s ON s.user_id = ${userId}::uuid`.pipe(
          Effect.map(([row]) => row ?? { bytes: 0, files: 0 }),
          orUnavailable
        ),
      unused: (limit) =>
        sql<{ id: string }>`SELECT unused_blobs AS id FROM unused_blobs(${limit}::int)`.pipe(
          retryDeadlocks,
          Effect.map((rows) => rows.map(({ id }) => id)),
          orUnavailable
        ),
      forget: (ids) =>
        ids.length === 0 ? Effect.void : sql`SELECT forget_blobs(${ids}::uuid[])`.pipe(Effect.asVoid, orUnavailable)
    })
  )
)

/** Attachments on PostgreSQL and any `Blobs`. */
export const layer = Attachments.layerNoDeps.pipe(Layer.provide([storage, Uploaders.layer, UploadLimits.layer]))
