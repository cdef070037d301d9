import { randomUUIDv7 } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import { int8s, nullable, orUnavailable } from "./Sql.ts"

/** The last seq of each conversation, in a fixed order, and of the user's own state. */
export interface Vector {
  readonly seqs: ReadonlyArray<readonly [ConversationId, number]>
  readonly userSeq: number
}

/**
 * Keeps what a stream of events has seen, so that the ids of its events stay short and any node can go on from one.
 * One that is not used for 30 days is forgotten.
 */
export class EventCursors extends Context.Service<
  EventCursors,
  {
    readonly store: (userId: UserId, vector: Vector) => Effect.Effect<string, Unavailable>
    /** Undefined for another user's, a forgotten and an unknown one. */
    readonly load: (userId: UserId, id: string) => Effect.Effect<Vector | undefined, Unavailable>
  }
>()("chat/services/EventCursors") {
  /** In PostgreSQL. */
  static readonly layer = Layer.effect(
    EventCursors,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      return EventCursors.of({
        store: Effect.fn("EventCursors.store")(function* (userId, { seqs, userSeq }) {
          const id = randomUUIDv7()
          yield* sql`
            INSERT INTO event_cursors (id, user_id, conversation_ids, seqs, user_seq)
            VALUES (${id}::uuid, ${userId}::uuid, ${nullable(seqs.map(([conversationId]) => conversationId))}::uuid[],
              ${int8s(seqs.map(([, seq]) => seq))}::bigint[], ${userSeq}::bigint)`
          return id
        }, orUnavailable),
        load: Effect.fn("EventCursors.load")(function* (userId, id) {
          const [row] = yield* sql<{ conversationIds: Array<ConversationId>; seqs: Array<number>; userSeq: number }>`
            UPDATE event_cursors SET used_at = clock_timestamp()
            WHERE id = ${id}::uuid AND user_id = ${userId}::uuid AND used_at >= now() - interval '30 days'
            RETURNING conversation_ids, seqs, user_seq`
          if (row === undefined) return undefined
          const seqs = row.conversationIds.map((conversationId, at) => [conversationId, row.seqs[at] ?? 0] as const)
          return { seqs, userSeq: row.userSeq }
        }, orUnavailable)
      })
    })
  )

  /** In memory, for ever. */
  static readonly layerTest = Layer.sync(EventCursors, () => {
    const stored = new Map<string, Vector & { readonly userId: UserId }>()
    return EventCursors.of({
      store: (userId, vector) =>
        Effect.sync(() => {
          const id = randomUUIDv7()
          stored.set(id, { ...vector, userId })
          return id
        }),
      load: (userId, id) =>
        Effect.sync(() => {
          const vector = stored.get(id)
          return vector?.userId === userId ? vector : undefined
        })
    })
  })
}
