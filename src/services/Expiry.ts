import { Clock, Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import { every } from "./Background.ts"
import { type Changed, makeChanges } from "./Changes.ts"
import { makeChangesMemory } from "./ChangesMemory.ts"
import { Memory } from "./Memory.ts"
import { tombstone } from "./MessageChangesMemory.ts"
import { orUnavailable } from "./Sql.ts"

/** How many conversations a step looks at, and of how many messages it erases each time that it has one's head. */
const conversations = 20
const messages = 50

/** Ends messages whose conversation had a lifetime set when they were sent. */
export class Expiry extends Context.Service<
  Expiry,
  {
    /**
     * Deletes messages whose time is over, in the name of their senders and as they would: `message.deleted`, a tombstone
     * in its place. One step; true when there may be more. A second run, here or on another node, finds nothing to do.
     */
    readonly expireDue: Effect.Effect<boolean, Unavailable>
  }
>()("chat/services/Expiry") {
  /** On PostgreSQL: migration 0019 tells how it knows. */
  static readonly layer = Layer.effect(
    Expiry,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { change } = yield* makeChanges
      const expire = (id: ConversationId) =>
        change<Changed, never>(id, sql`SELECT * FROM expire_messages(${id}::uuid, ${messages}::int)`, {})
      return Expiry.of({
        expireDue: Effect.gen(function* () {
          const due = yield* sql<{ conversationId: ConversationId }>`
            SELECT conversation_id FROM message_lifetimes WHERE next_at <= clock_timestamp()
            ORDER BY next_at LIMIT ${conversations}`
          const done = yield* Effect.forEach(due, ({ conversationId }) => expire(conversationId))
          return done.some(({ outcome }) => outcome === "changed")
        }).pipe(orUnavailable, Effect.withSpan("Expiry.expireDue"))
      })
    })
  )

  /** In `Memory`. */
  static readonly layerTest = Layer.effect(
    Expiry,
    Effect.gen(function* () {
      const memory = yield* Memory
      const { addEvent, amend, atomically } = yield* makeChangesMemory
      return Expiry.of({
        expireDue: Effect.gen(function* () {
          const now = yield* Clock.currentTimeMillis
          for (const conversation of memory.conversations.values()) {
            for (const { fromSeq, seconds, throughSeq } of conversation.lifetimes) {
              for (const message of conversation.log.slice(fromSeq, throughSeq)) {
                if (message.event !== "message.created" || message.deletedAt !== null) continue
                if (message.createdAt.getTime() + seconds * 1000 > now) continue
                const { id, senderId, seq } = message
                yield* amend(conversation, seq, tombstone(new Date(now)))
                const data = { messageId: id, messageSeq: seq }
                yield* addEvent(conversation, { event: "message.deleted", actorId: senderId, data })
              }
            }
          }
          return false
        }).pipe(atomically)
      })
    })
  )
}

/** Deletes what is over, each second, as long as this node lives. */
export const layerExpiry = Layer.effectDiscard(
  Effect.gen(function* () {
    const { expireDue } = yield* Expiry
    const all = Effect.repeat(expireDue, { while: (more) => more })
    yield* every("1 second", "the expiry of messages", all)
  })
)
