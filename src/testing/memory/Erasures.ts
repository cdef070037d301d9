import { Effect, Layer } from "effect"
import { Erasures } from "../../services/messages/Erasures.ts"
import { makeChangesMemory } from "./Changes.ts"
import { Memory } from "./State.ts"

/** Erasures in `Memory`: one step erases everything that is due. */
export const layerMemory = Layer.effect(
  Erasures,
  Effect.gen(function* () {
    const { conversations, erasures } = yield* Memory
    const { atomically, erase } = yield* makeChangesMemory
    return Erasures.of({
      eraseDue: Effect.gen(function* () {
        for (const conversation of conversations.values()) {
          for (const message of [...conversation.log]) {
            if (message.event !== "message.created" || message.deletedAt !== null) continue
            if (erasures.has(message.senderId)) yield* erase(conversation, message.senderId, message)
          }
        }
        erasures.clear()
        return false
      }).pipe(atomically)
    })
  })
)
