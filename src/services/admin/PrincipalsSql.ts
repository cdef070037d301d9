import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../../domain/Ids.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { type Acting, PrincipalStorage, Principals } from "./Principals.ts"

const makeStorage = Effect.map(SqlClient.SqlClient, (sql) =>
  PrincipalStorage.of({
    find: (user, issuer) => {
      const id =
        "userId" in user
          ? sql`${user.userId}::uuid`
          : sql`(SELECT i.user_id FROM external_identities i
              WHERE i.issuer = ${issuer} AND i.subject = ${user.externalId} AND i.closed_at IS NULL)`
      return sql<{ readonly id: UserId; readonly disabled: boolean }>`
        SELECT u.id, u.disabled_at IS NOT NULL AS disabled FROM users u
        WHERE u.id = ${id} AND u.deleted_at IS NULL`.pipe(
        Effect.map((rows) => rows[0]),
        orUnavailable
      )
    },
    states: (pairs, now) =>
      sql<{ readonly state: Acting }>`
        SELECT CASE WHEN u.id IS NULL THEN 'closed' WHEN t.id IS NULL THEN 'revoked' ELSE 'valid' END AS state
        FROM unnest(${pairs.map(({ tokenId }) => tokenId)}::uuid[], ${pairs.map(({ userId }) => userId)}::uuid[])
          WITH ORDINALITY AS pair(token_id, user_id, ord)
        LEFT JOIN service_tokens t ON t.id = pair.token_id AND COALESCE(t.expires_at > ${now}::timestamptz, true)
        LEFT JOIN users u ON u.id = pair.user_id AND u.deleted_at IS NULL AND u.disabled_at IS NULL
        ORDER BY pair.ord`.pipe(
        Effect.map((rows) => rows.map(({ state }) => state)),
        orUnavailable
      )
  })
)

/** Principals on PostgreSQL. */
export const layer = Principals.layerNoDeps.pipe(Layer.provide(Layer.effect(PrincipalStorage, makeStorage)))
