import { Clock, Effect, Layer } from "effect"
import { DisappearingMessages } from "../../services/messages/DisappearingMessages.ts"
import { makeChangesMemory } from "./Changes.ts"
import { Memory } from "./State.ts"

/** Disappearing messages in `Memory`: one step deletes everything that is due. */
export const layerMemory = Layer.effect(
  DisappearingMessages,
  Effect.gen(function* () {
    const memory = yield* Memory
    const { atomically, erase } = yield* makeChangesMemory
    return DisappearingMessages.of({
      expireDue: Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        for (const conversation of memory.conversations.values()) {
          for (const { fromSeq, seconds, throughSeq } of conversation.lifetimes) {
            for (const message of conversation.log.slice(fromSeq, throughSeq)) {
              if (message.event !== "message.created" || message.deletedAt !== null) continue
              if (message.createdAt.getTime() + seconds * 1000 > now) continue
              yield* erase(conversation, message.senderId, message)
            }
          }
        }
        return false
      }).pipe(atomically)
    })
  })
)
