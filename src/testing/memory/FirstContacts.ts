import { Effect, Layer } from "effect"
import { FirstContacts } from "../../services/conversations/FirstContacts.ts"
import { haveBothWritten } from "./Meeting.ts"
import { Memory } from "./State.ts"

/** First contacts by the memberships in `Memory`. */
export const layerMemory = Layer.effect(
  FirstContacts,
  Effect.flatMap(Memory, (memory) =>
    FirstContacts.make((userId, others) =>
      Effect.sync(() => {
        const mine = [...memory.conversations.values()].filter(({ members }) => members.get(userId)?.leftSeq === null)
        return others.map((id) => ({
          id,
          stranger: mine.every(({ members }) => members.get(id)?.leftSeq !== null),
          contact: haveBothWritten(memory, userId, id)
        }))
      })
    )
  )
)
