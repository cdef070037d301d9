import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import { Memory } from "./Memory.ts"
import { orUnavailable } from "./Sql.ts"

/** Who asks, and about whom. */
export interface Pair {
  readonly viewerId: UserId
  readonly userId: UserId
}

/** Who knows whom: everybody himself, and those who are members of the same conversation now. */
export class Acquaintances extends Context.Service<
  Acquaintances,
  {
    /** Those of the pairs who know each other, each once, in no particular order. */
    readonly among: (pairs: ReadonlyArray<Pair>) => Effect.Effect<ReadonlyArray<Pair>, Unavailable>
  }
>()("chat/services/Acquaintances") {
  /** On PostgreSQL, in one statement. */
  static readonly layer = Layer.effect(
    Acquaintances,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      return Acquaintances.of({
        among: Effect.fn("Acquaintances.among")(function* (pairs) {
          if (pairs.length === 0) return []
          return yield* sql<Pair>`
            SELECT DISTINCT p.viewer_id, p.user_id
            FROM unnest(${pairs.map(({ viewerId }) => viewerId)}::uuid[], ${pairs.map(({ userId }) => userId)}::uuid[])
              AS p(viewer_id, user_id)
            WHERE p.viewer_id = p.user_id OR EXISTS (
              SELECT FROM conversation_members other
              JOIN conversation_members me
                ON me.conversation_id = other.conversation_id AND me.user_id = p.viewer_id AND me.left_seq IS NULL
              WHERE other.user_id = p.user_id AND other.left_seq IS NULL)`
        }, orUnavailable)
      })
    })
  )

  /** In `Memory`. */
  static readonly layerTest = Layer.effect(
    Acquaintances,
    Effect.map(Memory, ({ conversations }) =>
      Acquaintances.of({
        among: (pairs) =>
          Effect.sync(() => {
            const known = pairs.filter(
              ({ userId, viewerId }) =>
                viewerId === userId ||
                Array.from(conversations.values()).some(
                  ({ members }) => members.get(viewerId)?.leftSeq === null && members.get(userId)?.leftSeq === null
                )
            )
            return [...new Map(known.map((pair) => [`${pair.viewerId} ${pair.userId}`, pair])).values()]
          })
      })
    )
  )
}
