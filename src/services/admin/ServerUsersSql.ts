import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../../domain/Ids.ts"
import type { UserRow } from "../identity/Rows.ts"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { ServerUserStorage, ServerUsers, type Upserted } from "./ServerUsers.ts"

const makeStorage = Effect.map(SqlClient.SqlClient, (sql) =>
  ServerUserStorage.of({
    upsert: Effect.fnUntraced(function* (issuer, users, actor, now) {
      const done = yield* sql<{ readonly outcome: Upserted["outcome"]; readonly userId: UserId | null }>`
        SELECT outcome, user_id FROM upsert_external_users(${issuer}::text, ${JSON.stringify(users)}::text::jsonb,
          ${actor}::text, ${now}::timestamptz) ORDER BY place`.pipe(retryDeadlocks)
      const rows = yield* sql<UserRow>`
        SELECT * FROM users WHERE id = ANY (${done.flatMap(({ userId }) => userId ?? [])}::uuid[])`
      const byId = new Map(rows.map((row) => [row.id, row]))
      return done.map(({ outcome, userId }): Upserted => {
        const user = userId === null ? undefined : byId.get(userId)
        return outcome === "ended" || user === undefined ? { outcome: "ended" } : { outcome, user }
      })
    }, orUnavailable),
    find: (issuer, subject) =>
      sql<UserRow>`SELECT u.* FROM external_identities i JOIN users u ON u.id = i.user_id
        WHERE i.issuer = ${issuer} AND i.subject = ${subject} AND i.closed_at IS NULL AND u.deleted_at IS NULL`.pipe(
        Effect.map((rows) => rows[0]),
        orUnavailable
      )
  })
)

/** The users of the application on PostgreSQL. */
export const layer = ServerUsers.layerNoDeps.pipe(Layer.provide(Layer.effect(ServerUserStorage, makeStorage)))
