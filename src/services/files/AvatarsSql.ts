import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { AvatarStorage, Avatars } from "./Avatars.ts"
import type { Full } from "./StorageLimits.ts"
import * as Uploaders from "./UploadersSql.ts"
import { UploadLimits } from "./UploadLimits.ts"

const storage = Layer.effect(
  AvatarStorage,
  Effect.map(SqlClient.SqlClient, (sql) =>
    AvatarStorage.of({
      begin: ({ conversationId, id, ownerId }, limits) =>
        sql<{ outcome: "begun" | Full }>`SELECT begin_avatar(${id}::uuid, ${ownerId}::uuid, ${conversationId}::uuid,
          ${limits.user}::bigint, ${limits.all}::bigint) AS outcome`.pipe(
          Effect.map(([row]) => row?.outcome ?? "full"),
          orUnavailable
        ),
      complete: (id, bytes, limits) =>
        sql<{ outcome: "stored" | Full }>`SELECT complete_avatar(${id}::uuid, ${bytes}::bigint, ${limits.user}::bigint,
          ${limits.all}::bigint) AS outcome`.pipe(
          retryDeadlocks,
          Effect.map(([row]) => row?.outcome ?? "full"),
          orUnavailable
        ),
      release: (id) => sql`SELECT release_avatar(${id}::uuid)`.pipe(Effect.asVoid, orUnavailable)
    })
  )
)

/** Avatars on PostgreSQL and any `Blobs`. */
export const layer = Avatars.layerNoDeps.pipe(Layer.provide([storage, Uploaders.layer, UploadLimits.layer]))
