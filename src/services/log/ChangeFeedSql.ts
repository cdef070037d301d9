import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import { orUnavailable } from "../platform/Sql.ts"
import { type Change, ChangeFeed, type Handled } from "./ChangeFeed.ts"

/** A call deletes at most this many times the rows that it was given, so that a feed that has become long gets shorter. */
const purgeFactor = 2

/** The feed on PostgreSQL: `migrations/functions/change_feed.sql` has its rules. */
export const layer = Layer.effect(
  ChangeFeed,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const take = (consumer: string, most: number) => sql<Change & { readonly position: string }>`
      SELECT position::text, conversation_id, first_seq, last_seq FROM take_changes(${consumer}::text, ${most}::int)`

    const consume = <A extends Handled, E, R>(
      consumer: string,
      most: number,
      handle: (changes: ReadonlyArray<Change>) => Effect.Effect<A, E, R>
    ): Effect.Effect<A | undefined, E | SqlError, R> =>
      Effect.gen(function* () {
        const rows = yield* take(consumer, most)
        if (rows.length === 0) return undefined
        const done = yield* handle(rows.map(({ position: _, ...change }) => change))
        const last = rows[done.handled - 1]
        if (last !== undefined) {
          yield* sql`SELECT move_consumer(${consumer}::text, ${last.position}::xid8, ${last.conversationId}::uuid,
            ${purgeFactor * rows.length}::int)`
        }
        return done
      }).pipe(sql.withTransaction)

    return ChangeFeed.of({
      consume: (consumer, most, handle) => orUnavailable(consume(consumer, most, handle))
    })
  })
)
