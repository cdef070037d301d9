import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { AttachmentId } from "../../domain/Ids.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { type ResumableUpload, ResumableUploadStorage } from "./ResumableUploadStorage.ts"
import { ResumableUploads } from "./ResumableUploads.ts"
import * as Uploaders from "./UploadersSql.ts"
import { UploadTurns } from "./UploadTurns.ts"

type Storage = ResumableUploadStorage["Service"]

const shown = 'id, size, received AS "offset", name, metadata, expires_at'

/** What a writer does. Each statement tests that it still holds the upload, and prolongs its lease. */
const writing = (
  sql: SqlClient.SqlClient,
  get: Storage["get"]
): Pick<Storage, "hold" | "keep" | "add" | "release"> => ({
  hold: (userId, id, writer) =>
    sql<ResumableUpload>`UPDATE uploads SET writer = ${writer}::uuid, writer_until = clock_timestamp() + upload_lease()
        WHERE id = ${id}::uuid AND owner_id = ${userId}::uuid AND expires_at > clock_timestamp()
          AND (writer IS NULL OR writer_until <= clock_timestamp())
        RETURNING ${sql.literal(shown)}`.pipe(
      orUnavailable,
      Effect.flatMap(
        ([row]): ReturnType<Storage["hold"]> =>
          row === undefined
            ? Effect.map(get(userId, id), (found) => (found === undefined ? undefined : ("locked" as const)))
            : Effect.succeed(row)
      )
    ),
  keep: (id, writer, blobId) =>
    sql<{ kept: boolean }>`WITH held AS (
          UPDATE uploads SET writer_until = clock_timestamp() + upload_lease()
            WHERE id = ${id}::uuid AND writer = ${writer}::uuid AND expires_at > clock_timestamp() RETURNING id
        ), part AS (
          INSERT INTO upload_parts (blob_id, upload_id)
            SELECT p.blob_id, held.id FROM held, unnest(${blobId === undefined ? [] : [blobId]}::uuid[]) p (blob_id)
        )
        SELECT EXISTS (SELECT FROM held) AS kept`.pipe(
      Effect.map(([row]) => row?.kept === true),
      orUnavailable
    ),
  add: (id, writer, parts) =>
    sql<{ added: boolean }>`WITH new AS (
          SELECT * FROM unnest(${parts.map(({ blobId }) => blobId)}::uuid[], ${parts.map(({ start }) => start)}::bigint[],
            ${parts.map(({ size }) => size)}::bigint[]) p (blob_id, start, size)
        ), held AS (
          UPDATE uploads SET received = received + coalesce((SELECT sum(size) FROM new), 0),
              writer_until = clock_timestamp() + upload_lease()
            WHERE id = ${id}::uuid AND writer = ${writer}::uuid AND expires_at > clock_timestamp() RETURNING id
        ), part AS (
          UPDATE upload_parts p SET start = new.start FROM new, held WHERE p.blob_id = new.blob_id
        )
        SELECT EXISTS (SELECT FROM held) AS added`.pipe(
      Effect.map(([row]) => row?.added === true),
      orUnavailable
    ),
  release: (id, writer) =>
    sql`UPDATE uploads SET writer = NULL WHERE id = ${id}::uuid AND writer = ${writer}::uuid`.pipe(
      Effect.asVoid,
      orUnavailable
    )
})

/** Uploads that are under way, on PostgreSQL. Each change is one statement about one row of `uploads`. */
export const storage = Layer.effect(
  ResumableUploadStorage,
  Effect.map(SqlClient.SqlClient, (sql) => {
    const columns = sql.literal(shown)

    const get: Storage["get"] = (userId, id) =>
      sql<ResumableUpload>`SELECT ${columns} FROM uploads
        WHERE id = ${id}::uuid AND owner_id = ${userId}::uuid AND expires_at > clock_timestamp()`.pipe(
        Effect.map(([row]) => row),
        orUnavailable
      )

    return ResumableUploadStorage.of({
      create: (userId, { id, metadata, name, size }, limit) =>
        sql<ResumableUpload>`INSERT INTO uploads (id, owner_id, size, name, metadata, expires_at)
          SELECT ${id}::uuid, ${userId}::uuid, ${size}::bigint, ${name}, ${metadata}, clock_timestamp() + unbound_period()
          WHERE ${size}::bigint + coalesce((SELECT bytes FROM user_storage WHERE user_id = ${userId}::uuid), 0)
            + coalesce((SELECT sum(size) FROM uploads WHERE owner_id = ${userId}::uuid
              AND expires_at > clock_timestamp()), 0) <= ${limit}::bigint
          RETURNING ${columns}`.pipe(
          Effect.map(([row]) => row),
          orUnavailable
        ),
      get,
      ...writing(sql, get),
      parts: (id) =>
        sql<{ blobId: string }>`SELECT blob_id FROM upload_parts WHERE upload_id = ${id}::uuid AND start IS NOT NULL
          ORDER BY start`.pipe(
          Effect.map((rows) => rows.map(({ blobId }) => blobId)),
          orUnavailable
        ),
      end: (userId, id) =>
        sql`UPDATE uploads SET expires_at = date_trunc('milliseconds', clock_timestamp()) WHERE id = ${id}::uuid AND owner_id = ${userId}::uuid
          AND expires_at > clock_timestamp() RETURNING id`.pipe(
          Effect.map((rows) => rows.length > 0),
          orUnavailable
        ),
      ended: (limit) =>
        sql<{ id: AttachmentId }>`SELECT id FROM uploads WHERE expires_at <= (SELECT clock_timestamp())
          AND (writer IS NULL OR writer_until <= clock_timestamp()) ORDER BY expires_at LIMIT ${limit}`.pipe(
          Effect.map((rows) => rows.map(({ id }) => id)),
          orUnavailable
        ),
      blobs: (id) =>
        sql<{ blobId: string }>`SELECT blob_id FROM upload_parts WHERE upload_id = ${id}::uuid`.pipe(
          Effect.map((rows) => rows.map(({ blobId }) => blobId)),
          orUnavailable
        ),
      forget: (id) => sql`DELETE FROM uploads WHERE id = ${id}::uuid`.pipe(Effect.asVoid, orUnavailable)
    })
  })
)

/** Uploads that are under way on PostgreSQL, and any `Blobs`. */
export const layer = ResumableUploads.layerNoDeps.pipe(Layer.provide([storage, Uploaders.layer, UploadTurns.layer]))
