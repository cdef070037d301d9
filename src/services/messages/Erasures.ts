import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import type { Unavailable } from "../../domain/Problem.ts"
import { type Changed, makeChanges } from "../log/Changes.ts"
import { orUnavailable } from "../platform/Sql.ts"

/** At most this many conversations are looked at in one step. */
const conversationsPerStep = 20

/** At most this many messages are erased while the head of their conversation is locked. */
const messagesPerLock = 50

/** Erases the messages of users who were deleted together with what they wrote: see `AccountAdmin.delete`. */
export class Erasures extends Context.Service<
  Erasures,
  {
    /**
     * Takes one step: erases messages, each in the name of its sender, with a `message.deleted` event and a tombstone in its
     * place. Answers true when there may be more. Repeating it, on this node or on another, erases nothing twice.
     */
    readonly eraseDue: Effect.Effect<boolean, Unavailable>
  }
>()("chat/services/Erasures") {
  /**
   * The implementation on PostgreSQL: migrations/functions/erasures.sql has the rules. The table `erasures` says what is
   * left to do, so a restart loses nothing.
   */
  static readonly layer = Layer.effect(
    Erasures,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { change } = yield* makeChanges
      return Erasures.of({
        eraseDue: Effect.gen(function* () {
          const due = yield* sql<{ readonly userId: UserId; readonly conversationId: ConversationId }>`
            SELECT user_id, conversation_id FROM erasures LIMIT ${conversationsPerStep}`
          const done = yield* Effect.forEach(due, ({ conversationId, userId }) =>
            change<Changed, never>(
              conversationId,
              sql`SELECT * FROM erase_messages_of(${userId}::uuid, ${conversationId}::uuid, ${messagesPerLock}::int)`,
              {}
            )
          )
          return due.length === conversationsPerStep || done.some(({ outcome }) => outcome === "changed")
        }).pipe(orUnavailable, Effect.withSpan("Erasures.eraseDue"))
      })
    })
  )
}
