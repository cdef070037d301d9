import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { AttachmentId } from "../../domain/Ids.ts"
import { orUnavailable } from "../platform/Sql.ts"
import type { Part } from "./Parts.ts"
import { type ResumableUpload, ResumableUploadStorage } from "./ResumableUploadStorage.ts"
import { ResumableUploads } from "./ResumableUploads.ts"
import type { Full } from "./StorageLimits.ts"
import * as Uploaders from "./UploadersSql.ts"
import { UploadLimits } from "./UploadLimits.ts"

type Storage = ResumableUploadStorage["Service"]

const shown = `id, size, received AS "offset", name, metadata, expires_at,
  (SELECT count(*)::int FROM upload_parts p WHERE p.upload_id = uploads.id) AS parts`

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
            WHERE id = ${id}::uuid AND writer = ${writer}::uuid RETURNING id, expires_at > clock_timestamp() AS open
        ), part AS (
          INSERT INTO upload_parts (blob_id, upload_id)
            SELECT p.blob_id, held.id FROM held, unnest(${blobId === undefined ? [] : [blobId]}::uuid[]) p (blob_id)
            WHERE held.open
        )
        SELECT EXISTS (SELECT FROM held WHERE open) AS kept`.pipe(
      Effect.map(([row]) => row?.kept === true),
      orUnavailable
    ),
  add: (id, writer, parts, all) =>
    sql<{ outcome: "added" | "lost" | "store-full" }>`WITH new AS (
          SELECT * FROM unnest(${parts.map(({ blobId }) => blobId)}::uuid[], ${parts.map(({ start }) => start)}::bigint[],
            ${parts.map(({ size }) => size)}::bigint[]) p (blob_id, start, size)
        ), added AS (
          SELECT coalesce(sum(size), 0)::bigint AS bytes FROM new
        ), room AS (
          SELECT ${all}::bigint IS NULL OR t.bytes + t.received + added.bytes <= ${all}::bigint AS enough
            FROM storage_total t, added
        ), held AS (
          UPDATE uploads SET received = received + added.bytes, writer_until = clock_timestamp() + upload_lease(),
              expires_at = CASE WHEN received = 0 AND added.bytes > 0 THEN clock_timestamp() + unbound_period()
                ELSE expires_at END
            FROM added, room
            WHERE id = ${id}::uuid AND writer = ${writer}::uuid AND expires_at > clock_timestamp() AND room.enough
            RETURNING id, added.bytes
        ), total AS (
          UPDATE storage_total t SET received = t.received + held.bytes FROM held WHERE held.bytes > 0
        ), part AS (
          UPDATE upload_parts p SET start = new.start, size = new.size FROM new, held WHERE p.blob_id = new.blob_id
        )
        SELECT CASE WHEN EXISTS (SELECT FROM held) THEN 'added' WHEN enough THEN 'lost' ELSE 'store-full' END AS outcome
          FROM room`.pipe(
      Effect.map(([row]) => row?.outcome ?? "lost"),
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
      create: (userId, { id, metadata, name, size }, limits) =>
        sql<{
          outcome: "begun" | "too-many" | Full
          expiresAt: Date
        }>`SELECT outcome, expires_at FROM begin_upload(${id}::uuid,
          ${userId}::uuid, ${size}::bigint, ${name}, ${metadata}, ${limits.user}::bigint, ${limits.all}::bigint)`.pipe(
          Effect.map(([row]) => {
            if (row?.outcome !== "begun") return row?.outcome ?? "full"
            return { id, size, offset: 0, parts: 0, name, metadata, expiresAt: row.expiresAt }
          }),
          orUnavailable
        ),
      get,
      ...writing(sql, get),
      parts: (id) =>
        orUnavailable(sql<Part>`SELECT blob_id, start, size FROM upload_parts
          WHERE upload_id = ${id}::uuid AND start IS NOT NULL ORDER BY start`),
      drop: (id, blobIds) =>
        sql`DELETE FROM upload_parts WHERE upload_id = ${id}::uuid AND blob_id = ANY (${blobIds}::uuid[])
          AND start IS NULL`.pipe(Effect.asVoid, orUnavailable),
      end: (userId, id, writer) =>
        sql`UPDATE uploads SET expires_at = date_trunc('milliseconds', clock_timestamp())
          WHERE id = ${id}::uuid AND owner_id = ${userId}::uuid AND expires_at > clock_timestamp()
            AND (${writer ?? null}::uuid IS NULL OR writer = ${writer ?? null}::uuid) RETURNING id`.pipe(
          Effect.map((rows) => rows.length > 0),
          orUnavailable
        ),
      ended: (limit, id) =>
        sql<{ id: AttachmentId }>`SELECT id FROM uploads WHERE expires_at <= (SELECT clock_timestamp())
          AND ${id === undefined ? sql`true` : sql`id = ${id}::uuid`} AND (writer IS NULL OR writer_until <= clock_timestamp()) ORDER BY expires_at LIMIT ${limit}`.pipe(
          Effect.map((rows) => rows.map(({ id }) => id)),
          orUnavailable
        ),
      // As if a writer held it.
      postpone: (id) =>
        sql`UPDATE uploads SET writer = gen_random_uuid(), writer_until = clock_timestamp() + interval '5 minutes'
          WHERE id = ${id}::uuid AND (writer IS NULL OR writer_until <= clock_timestamp())`.pipe(
          Effect.asVoid,
          orUnavailable
        ),
      blobs: (id) =>
        sql<{ blobId: string }>`SELECT blob_id FROM upload_parts WHERE upload_id = ${id}::uuid`.pipe(
          Effect.map((rows) => rows.map(({ blobId }) => blobId)),
          orUnavailable
        ),
      forget: (id) =>
        sql`WITH gone AS (DELETE FROM uploads WHERE id = ${id}::uuid RETURNING received)
          UPDATE storage_total t SET received = t.received - gone.received FROM gone WHERE gone.received > 0`.pipe(
          Effect.asVoid,
          orUnavailable
        )
    })
  })
)

/** Uploads that are under way on PostgreSQL, and any `Blobs`. */
export const layer = ResumableUploads.layerNoDeps.pipe(Layer.provide([storage, Uploaders.layer, UploadLimits.layer]))
