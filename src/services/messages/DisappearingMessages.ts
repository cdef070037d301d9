import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId } from "../../domain/Ids.ts"
import type { Unavailable } from "../../domain/Problem.ts"
import { type Changed, makeChanges } from "../log/Changes.ts"
import { orUnavailable } from "../platform/Sql.ts"

/** At most this many conversations are looked at in one step. */
const conversationsPerStep = 20

/** At most this many messages are erased while the head of their conversation is locked. */
const messagesPerLock = 50

/** Deletes messages that were sent while their conversation had a lifetime set. */
export class DisappearingMessages extends Context.Service<
  DisappearingMessages,
  {
    /**
     * Takes one step: deletes messages whose lifetime is over, each in the name of its sender, with a `message.deleted`
     * event and a tombstone in its place. Answers true when there may be more. Repeating it, on this node or on another,
     * deletes nothing twice.
     */
    readonly expireDue: Effect.Effect<boolean, Unavailable>
  }
>()("chat/services/DisappearingMessages") {
  /**
   * The implementation on PostgreSQL: migrations/functions/disappearing_messages.sql has the rules. The table
   * `message_lifetimes` says when each conversation is due.
   */
  static readonly layer = Layer.effect(
    DisappearingMessages,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { change } = yield* makeChanges
      const expire = (id: ConversationId) =>
        change<Changed, never>(id, sql`SELECT * FROM expire_messages(${id}::uuid, ${messagesPerLock}::int)`, {})
      return DisappearingMessages.of({
        expireDue: Effect.gen(function* () {
          // A volatile function cannot limit the range of an index; its value from a subquery can.
          const due = yield* sql<{ conversationId: ConversationId }>`
            SELECT conversation_id FROM message_lifetimes WHERE next_at <= (SELECT clock_timestamp())
            ORDER BY next_at LIMIT ${conversationsPerStep}`
          const done = yield* Effect.forEach(due, ({ conversationId }) => expire(conversationId))
          return done.some(({ outcome }) => outcome === "changed")
        }).pipe(orUnavailable, Effect.withSpan("DisappearingMessages.expireDue"))
      })
    })
  )
}
