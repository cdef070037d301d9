import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { UserRow } from "../identity/Rows.ts"
import { makeAccounts, makeBeginClosing } from "../identity/SessionsSql.ts"
import { endOf } from "../identity/UsersSql.ts"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { AccountAdmin, AccountAdminStorage, type Act, scheduledFailure } from "./AccountAdmin.ts"

const makeStorage = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const act = <A>(call: Effect.Effect<ReadonlyArray<A>, SqlError>) =>
    call.pipe(
      retryDeadlocks,
      Effect.map(([act]): A | { readonly outcome: "no-user" } => act ?? { outcome: "no-user" }),
      orUnavailable
    )

  return AccountAdminStorage.of({
    list: ({ email, prefix, status }, after, limit) =>
      sql<UserRow>`SELECT * FROM users
        WHERE deleted_at IS NULL AND username > ${after}
          AND ${email === undefined ? sql`username >= ${prefix} AND username < ${endOf(prefix)}` : sql`email_key = ${email}`}
          AND ${status === undefined ? sql`true` : status === "disabled" ? sql`disabled_at IS NOT NULL` : sql`disabled_at IS NULL`}
        ORDER BY username LIMIT ${limit}`.pipe(orUnavailable),
    find: makeAccounts(sql).user,
    disable: (userId, actor, now) =>
      act(
        sql`SELECT * FROM disable_account(${userId}::uuid, ${actor}::text, ${now}::timestamptz, ${JSON.stringify(scheduledFailure)}::jsonb)`
      ),
    enable: (userId, actor) => act(sql<Act>`SELECT * FROM enable_account(${userId}::uuid, ${actor}::text)`),
    endSessions: (userId, actor, now) =>
      act(sql<Act>`SELECT * FROM end_account_sessions(${userId}::uuid, ${actor}::text, ${now}::timestamptz)`),
    beginClosing: makeBeginClosing(sql),
    delete: (userId, actor, now, messages) =>
      act(
        sql<Act | { readonly outcome: "in-groups" }>`
          SELECT * FROM delete_account(${userId}::uuid, ${actor}::text, ${now}::timestamptz,
            ${messages === "erase"}::boolean)`
      )
  })
})

/** The administration of accounts on PostgreSQL. */
export const layer = AccountAdmin.layerNoDeps.pipe(Layer.provide(Layer.effect(AccountAdminStorage, makeStorage)))
