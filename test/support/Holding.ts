import { Deferred, Effect, type Exit, Fiber } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, UserId } from "../../src/domain/Ids.ts"
import { until } from "./Chat.ts"

/**
 * Does `work` in a transaction of another connection, which keeps its locks until it is released. Then it does `last`
 * and commits.
 */
export const holding = Effect.fnUntraced(function* <A, B, E>(work: Effect.Effect<A, E>, last?: Effect.Effect<B, E>) {
  const sql = yield* SqlClient.SqlClient
  const done = yield* Deferred.make<Exit.Exit<A, E>>()
  const commit = yield* Deferred.make<void>()
  const fiber = yield* Effect.exit(work).pipe(
    Effect.tap((exit) => Deferred.succeed(done, exit)),
    Effect.andThen(Deferred.await(commit)),
    Effect.andThen(last ?? Effect.void),
    sql.withTransaction,
    Effect.forkChild
  )
  yield* yield* Deferred.await(done)
  return Effect.andThen(Deferred.succeed(commit, undefined), Fiber.join(fiber))
})

/** Waits until `count` statements wait for a lock in this database. */
export const blocked = (count: number) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    until(
      Effect.map(
        sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        (rows) => rows.length >= count
      )
    )
  )

/** Holds the lock of a conversation's head until it is released. */
export const holdHead = (...ids: ReadonlyArray<ConversationId>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    holding(sql`SELECT FROM conversation_heads WHERE conversation_id = ANY (${ids}::uuid[]) FOR UPDATE`)
  )

/** Holds the lock of a membership until it is released. */
export const holdMember = (id: ConversationId, userId: UserId) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    holding(sql`SELECT FROM conversation_members
      WHERE conversation_id = ${id}::uuid AND user_id = ${userId}::uuid FOR NO KEY UPDATE`)
  )
