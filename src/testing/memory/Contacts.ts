import { Effect, Layer } from "effect"
import { Contacts } from "../../services/identity/Contacts.ts"
import { Memory } from "./State.ts"

/** Contacts by the memberships in `Memory`. */
export const layerMemory = Layer.effect(
  Contacts,
  Effect.map(Memory, ({ blocks, conversations }) =>
    Contacts.of({
      among: (pairs) =>
        Effect.sync(() => {
          const known = pairs.filter(
            ({ userId, viewerId }) =>
              viewerId === userId ||
              (!blocks.get(viewerId)?.has(userId) &&
                !blocks.get(userId)?.has(viewerId) &&
                Array.from(conversations.values()).some(
                  ({ empty, members }) =>
                    !empty && members.get(viewerId)?.leftSeq === null && members.get(userId)?.leftSeq === null
                ))
          )
          return [...new Map(known.map((pair) => [`${pair.viewerId} ${pair.userId}`, pair])).values()]
        })
    })
  )
)
