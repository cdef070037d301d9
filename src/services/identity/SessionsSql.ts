import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { SessionId } from "../../domain/Ids.ts"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { makeUseExternal } from "./issuers/ExternalSessionsSql.ts"
import type { SessionRow, UserRow } from "./Rows.ts"
import { type Closing, type EndedSession, SessionStorage } from "./SessionStorage.ts"
import { Sessions } from "./Sessions.ts"

type Part<Name extends keyof SessionStorage["Service"]> = Pick<SessionStorage["Service"], Name>

/** Makes the part that finds accounts. */
export const makeAccounts = (sql: SqlClient.SqlClient): Part<"account" | "user" | "addresses"> => ({
  account: (login) =>
    sql<UserRow>`SELECT * FROM users
        WHERE ${sql.literal(login.includes("@") ? "email_key" : "username")} = ${login} AND deleted_at IS NULL`.pipe(
      Effect.map((rows) => rows[0]),
      orUnavailable
    ),
  user: (id) =>
    sql<UserRow>`SELECT * FROM users WHERE id = ${id} AND deleted_at IS NULL`.pipe(
      Effect.map((rows) => rows[0]),
      orUnavailable
    ),
  addresses: (userId) =>
    sql<Pick<SessionRow, "ip">>`SELECT DISTINCT ip FROM (
          SELECT ip FROM sessions WHERE user_id = ${userId} ORDER BY created_at DESC LIMIT 1000
        ) latest`.pipe(
      Effect.map((rows) => rows.map(({ ip }) => ip)),
      orUnavailable
    )
})

/** Makes the part that stores sessions and the generations of their tokens. */
const makeTokens = (sql: SqlClient.SqlClient): Part<"insert" | "find" | "renew" | "use"> => ({
  // The lock keeps a change of the password from passing between its check and the session: see change_password.
  insert: (session, passwordHash) =>
    sql`INSERT INTO sessions (id, user_id, user_agent, ip, generation, previous_generation, dropped_generation,
          used_generation, rotated_at, created_at, last_used_at, expires_at)
        SELECT ${session.id}, u.id, ${session.userAgent}, ${session.ip}, ${session.generation},
          ${session.previousGeneration}, ${session.droppedGeneration}, ${session.usedGeneration}, ${session.rotatedAt},
          ${session.createdAt}, ${session.lastUsedAt}, ${session.expiresAt}
        FROM users u WHERE u.id = ${session.userId} AND u.password_hash = ${passwordHash} AND u.deleted_at IS NULL
          AND u.disabled_at IS NULL
        FOR SHARE OF u
        RETURNING id`.pipe(
      Effect.map((rows) => rows.length === 1),
      orUnavailable
    ),
  find: (id, now) =>
    sql<SessionRow>`SELECT s.* FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE s.id = ${id} AND s.ended_at IS NULL AND s.expires_at > ${now} AND u.deleted_at IS NULL`.pipe(
      Effect.map((rows) => rows[0]),
      orUnavailable
    ),
  renew: (seen, renewal) =>
    sql<UserRow>`UPDATE sessions s SET generation = ${renewal.generation},
          previous_generation = ${renewal.previousGeneration}, dropped_generation = ${renewal.droppedGeneration},
          used_generation = ${renewal.usedGeneration}, rotated_at = ${renewal.rotatedAt},
          user_agent = ${renewal.userAgent}, ip = ${renewal.ip}, last_used_at = ${renewal.lastUsedAt},
          expires_at = ${renewal.expiresAt}
        FROM users u
        WHERE s.id = ${seen.id} AND s.generation = ${seen.generation} AND s.used_generation = ${seen.usedGeneration}
          AND s.ended_at IS NULL AND u.id = s.user_id AND u.deleted_at IS NULL
        RETURNING u.*`.pipe(
      Effect.map((rows) => rows[0]),
      orUnavailable
    ),
  // The rule of `isGood` in SQL.
  use: ({ generation, sessionId, userId }, now) =>
    sql`UPDATE sessions SET used_generation = GREATEST(used_generation, ${generation}), last_used_at = ${now}
        WHERE id = ${sessionId} AND user_id = ${userId} AND ended_at IS NULL AND expires_at > ${now}
          AND (${generation} > dropped_generation OR ${generation} = previous_generation)
          AND EXISTS (SELECT FROM users u WHERE u.id = user_id AND u.deleted_at IS NULL)
        RETURNING id`.pipe(
      Effect.map((rows) => rows.length === 1),
      orUnavailable
    )
})

/** Makes `beginClosing`, for this storage and for operators. */
export const makeBeginClosing =
  (sql: SqlClient.SqlClient): SessionStorage["Service"]["beginClosing"] =>
  (userId) =>
    sql`UPDATE users SET closing_at = clock_timestamp() WHERE id = ${userId} AND deleted_at IS NULL RETURNING id`.pipe(
      Effect.map((rows) => rows.length === 1),
      orUnavailable
    )

/** Makes the part that lists living sessions and ends them. */
const makeEnds = (
  sql: SqlClient.SqlClient
): Part<"list" | "end" | "endIdle" | "endedAfter" | "changePassword" | "beginClosing" | "closeAccount"> => ({
  list: (userId, now, limit, after) =>
    sql<SessionRow>`SELECT * FROM sessions WHERE user_id = ${userId} AND ended_at IS NULL AND expires_at > ${now}
        ${after === undefined ? sql`` : sql`AND (created_at, id) < (${new Date(after.at)}::timestamptz, ${after.id}::uuid)`}
        ORDER BY created_at DESC, id DESC LIMIT ${limit}`.pipe(orUnavailable),
  end: (userId, id, now) =>
    sql<Pick<SessionRow, "id">>`UPDATE sessions SET ended_at = ${now}, ended_seq = nextval('session_ends')
        WHERE id = ${id} AND user_id = ${userId} AND ended_at IS NULL AND expires_at > ${now}
        RETURNING id`.pipe(
      Effect.map((rows) => rows.map((row) => row.id)),
      orUnavailable
    ),
  endIdle: (userId, keep, now) =>
    sql<Pick<SessionRow, "id">>`UPDATE sessions SET ended_at = ${now}, ended_seq = nextval('session_ends')
        WHERE ended_at IS NULL AND id IN (
          SELECT id FROM sessions WHERE user_id = ${userId} AND ended_at IS NULL AND expires_at > ${now}
          ORDER BY last_used_at DESC, id DESC OFFSET ${keep})
        RETURNING id`.pipe(
      retryDeadlocks,
      Effect.map((rows) => rows.map((row) => row.id)),
      orUnavailable
    ),
  endedAfter: (seq) =>
    sql<EndedSession>`SELECT s.id, s.ended_seq, (u.deleted_at IS NOT NULL OR u.disabled_at IS NOT NULL) AS closed
        FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE ${
          seq === undefined
            ? sql`s.ended_seq = (SELECT max(ended_seq) FROM sessions WHERE ended_seq IS NOT NULL)`
            : sql`s.ended_seq > ${seq}`
        } ORDER BY s.ended_seq`.pipe(orUnavailable),
  changePassword: ({ keep, newHash, oldHash, userId }, now) =>
    sql<{ readonly ended: ReadonlyArray<SessionId> | null }>`SELECT change_password(${userId}, ${keep}, ${oldHash},
          ${newHash}, ${now}) AS ended`.pipe(
      Effect.map((rows) => rows[0]?.ended ?? undefined),
      orUnavailable
    ),
  beginClosing: makeBeginClosing(sql),
  closeAccount: (userId, passwordHash, now) =>
    sql<Closing>`SELECT * FROM close_account(${userId}::uuid, ${passwordHash}::text, ${now}::timestamptz)`.pipe(
      retryDeadlocks,
      Effect.map(([closing]): Closing => closing ?? { outcome: "wrong-password" }),
      orUnavailable
    )
})

const makeStorage = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const useExternal = yield* makeUseExternal
  return SessionStorage.of({ ...makeAccounts(sql), ...makeTokens(sql), ...makeEnds(sql), useExternal })
})

/** Sessions on PostgreSQL. */
export const layer = Sessions.layerNoDeps.pipe(Layer.provide(Layer.effect(SessionStorage, makeStorage)))
