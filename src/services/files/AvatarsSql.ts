import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { Avatars, AvatarStorage } from "./Avatars.ts"
import { UploadTurns } from "./UploadTurns.ts"

const storage = Layer.effect(
  AvatarStorage,
  Effect.map(SqlClient.SqlClient, (sql) =>
    AvatarStorage.of({
      begin: ({ conversationId, id, ownerId }, limit) =>
        sql<{ begun: boolean }>`SELECT begin_avatar(${id}::uuid, ${ownerId}::uuid, ${conversationId}::uuid,
          ${limit}::bigint) AS begun`.pipe(
          Effect.map(([row]) => row?.begun === true),
          orUnavailable
        ),
      complete: (id, bytes, limit) =>
        sql<{ stored: boolean }>`SELECT complete_avatar(${id}::uuid, ${bytes}::bigint, ${limit}::bigint) AS stored`.pipe(
          retryDeadlocks,
          Effect.map(([row]) => (row?.stored === true ? "stored" : "full")),
          orUnavailable
        ),
      release: (id) => sql`SELECT release_avatar(${id}::uuid)`.pipe(Effect.asVoid, orUnavailable)
    })
  )
)

/** Avatars on PostgreSQL and any `Blobs`. */
export const layer = Avatars.layerNoDeps.pipe(Layer.provide([storage, UploadTurns.layer]))
