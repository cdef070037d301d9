import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { orUnavailable } from "../platform/Sql.ts"
import { type ServiceTokenRow, ServiceTokenStorage, ServiceTokens } from "./ServiceTokens.ts"

const makeStorage = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  return ServiceTokenStorage.of({
    insert: ({ botId, createdAt, createdBy, expiresAt, hash, id, name, scopes }, actor) =>
      sql`WITH made AS (
          INSERT INTO service_tokens (id, name, hash, scopes, bot_id, created_at, created_by, expires_at)
          VALUES (${id}, ${name}, ${hash}, ${scopes}::text[], ${botId}::uuid, ${createdAt}, ${createdBy}, ${expiresAt}::timestamptz)
          RETURNING id)
        SELECT add_audit(${actor}, 'token.create', 'token', id::text,
          ${JSON.stringify({ name, scopes, ...(botId !== null && { botId }), expiresAt })}::text::jsonb) FROM made`.pipe(
        Effect.asVoid,
        orUnavailable
      ),
    list: (below, limit) =>
      sql<ServiceTokenRow>`SELECT * FROM service_tokens
        WHERE ${below === undefined ? sql`true` : sql`id < ${below}`}
        ORDER BY id DESC LIMIT ${limit}`.pipe(orUnavailable),
    delete: (id, actor) =>
      sql`WITH gone AS (DELETE FROM service_tokens WHERE id = ${id} RETURNING id, name)
        SELECT add_audit(${actor}, 'token.revoke', 'token', id::text, jsonb_build_object('name', name)) FROM gone`.pipe(
        Effect.map((rows) => rows.length === 1),
        orUnavailable
      ),
    find: (hash) =>
      sql<ServiceTokenRow>`SELECT * FROM service_tokens WHERE hash = ${hash}`.pipe(
        Effect.map((rows) => rows[0]),
        orUnavailable
      ),
    use: (id, now, since) =>
      sql`UPDATE service_tokens SET last_used_at = ${now}
        WHERE id = ${id} AND (last_used_at IS NULL OR last_used_at < ${since})`.pipe(Effect.asVoid, orUnavailable)
  })
})

/** Service tokens on PostgreSQL. */
export const layer = ServiceTokens.layerNoDeps.pipe(Layer.provide(Layer.effect(ServiceTokenStorage, makeStorage)))
