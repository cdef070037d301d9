import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { SessionId, UserId } from "../../domain/Ids.ts"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import type { Act } from "./AccountAdmin.ts"
import { PasswordResetStorage, PasswordResets, type StoredReset } from "./PasswordResets.ts"

const makeStorage = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  return PasswordResetStorage.of({
    set: (userId, passwordHash, actor, now) =>
      sql<Act>`SELECT * FROM set_account_password(${userId}::uuid, ${actor}::text, ${passwordHash}::text,
          ${now}::timestamptz)`.pipe(
        retryDeadlocks,
        Effect.map(([act]): Act => act ?? { outcome: "no-user" }),
        orUnavailable
      ),
    insert: ({ expiresAt, hash, userId }, actor) =>
      sql<{ readonly made: boolean }>`SELECT make_password_reset(${userId}::uuid, ${actor}::text, ${hash}::bytea,
          ${expiresAt}::timestamptz) AS made`.pipe(
        Effect.map(([row]) => row?.made === true),
        orUnavailable
      ),
    userOf: (hash, now) =>
      sql<Pick<StoredReset, "userId">>`SELECT user_id FROM password_resets
        WHERE hash = ${hash} AND expires_at > ${now}`.pipe(
        Effect.map(([row]) => row?.userId),
        orUnavailable
      ),
    use: (hash, passwordHash, now) =>
      sql<{ readonly userId: UserId | null; readonly ended: ReadonlyArray<SessionId> }>`
        SELECT * FROM use_password_reset(${hash}::bytea, ${passwordHash}::text, ${now}::timestamptz)`.pipe(
        retryDeadlocks,
        Effect.map(([row]) =>
          row === undefined || row.userId === null ? undefined : { userId: row.userId, ended: row.ended }
        ),
        orUnavailable
      )
  })
})

/** Resets of passwords on PostgreSQL. */
export const layer = PasswordResets.layerNoDeps.pipe(Layer.provide(Layer.effect(PasswordResetStorage, makeStorage)))
