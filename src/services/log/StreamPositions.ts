import { randomUUIDv7 } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import type { Unavailable } from "../../domain/Problem.ts"
import { int8s, nullable, orUnavailable } from "../platform/Sql.ts"

/** The last seq of each conversation, in a fixed order, and of the user's own state. */
export interface Vector {
  readonly seqs: ReadonlyArray<readonly [ConversationId, number]>
  readonly userSeq: number
}

/** How many positions of a user are kept: those that were used last. A stream has one at a time. */
export const positionsPerUser = 100

/**
 * Keeps the positions that streams of events have reached, so that the ids of their events stay short and any node can
 * resume a stream. A position that is not used for 30 days is deleted, and so are those of a user beyond the last 100.
 */
export class StreamPositions extends Context.Service<
  StreamPositions,
  {
    /** Stores a position under a new id, which only the same user can load. Each call stores another one. */
    readonly store: (userId: UserId, vector: Vector) => Effect.Effect<string, Unavailable>
    /** Loads a position. The answer is undefined for an unknown or expired id and for another user's. */
    readonly load: (userId: UserId, id: string) => Effect.Effect<Vector | undefined, Unavailable>
  }
>()("chat/services/StreamPositions") {
  /** The implementation on PostgreSQL. */
  static readonly layer = Layer.effect(
    StreamPositions,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      return StreamPositions.of({
        store: Effect.fn("StreamPositions.store")(function* (userId, { seqs, userSeq }) {
          const id = randomUUIDv7()
          yield* sql`
            WITH older AS (
              SELECT c.id FROM event_cursors c WHERE c.user_id = ${userId}::uuid
              ORDER BY c.used_at DESC, c.id DESC OFFSET ${positionsPerUser - 1}
            ), gone AS (DELETE FROM event_cursors c USING older WHERE c.id = older.id)
            INSERT INTO event_cursors (id, user_id, conversation_ids, seqs, user_seq)
            VALUES (${id}::uuid, ${userId}::uuid, ${nullable(seqs.map(([conversationId]) => conversationId))}::uuid[],
              ${int8s(seqs.map(([, seq]) => seq))}::bigint[], ${userSeq}::bigint)`
          return id
        }, orUnavailable),
        load: Effect.fn("StreamPositions.load")(function* (userId, id) {
          const [row] = yield* sql<{ conversationIds: Array<ConversationId>; seqs: Array<number>; userSeq: number }>`
            UPDATE event_cursors SET used_at = clock_timestamp()
            WHERE id = ${id}::uuid AND user_id = ${userId}::uuid AND used_at >= now() - retention_period()
            RETURNING conversation_ids, seqs, user_seq`
          if (row === undefined) return undefined
          const seqs = row.conversationIds.map((conversationId, at) => [conversationId, row.seqs[at] ?? 0] as const)
          return { seqs, userSeq: row.userSeq }
        }, orUnavailable)
      })
    })
  )
}
