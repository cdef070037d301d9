import { Option, Schema } from "effect"
import type { OutboxStorage } from "../Outbox.ts"
import type { PendingMessage } from "../state/State.ts"
import { type Database, prefixOf } from "./Database.ts"
import { SavedMessage } from "./Saved.ts"

const decode = Schema.decodeUnknownOption(SavedMessage)

/** Keeps the unsent messages of a user in a database. */
export const storedOutbox = (database: Database, userId: string): OutboxStorage => {
  const prefix = `${prefixOf(userId)}outbox/`
  const keyOf = ({ clientMessageId, conversationId }: PendingMessage) => `${prefix}${conversationId} ${clientMessageId}`
  /** A message that is put again keeps its place. */
  const orders = new Map<string, number>()
  let next = 0
  return {
    load: async () => {
      const kept = (await database.read(prefix)).flatMap(([, value]) => Option.toArray(decode(value)))
      for (const { message, order } of kept) {
        orders.set(keyOf(message), order)
        next = Math.max(next, order + 1)
      }
      return kept.sort((one, other) => one.order - other.order).map(({ message }) => message)
    },
    put: async (message) => {
      const order = orders.get(keyOf(message)) ?? next++
      orders.set(keyOf(message), order)
      await database.write({ put: [[keyOf(message), { order, message }]], remove: [] })
    },
    remove: (message) => database.write({ put: [], remove: [keyOf(message)] })
  }
}
