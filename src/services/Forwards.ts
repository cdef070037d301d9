import { hash, randomUUIDv7 } from "node:crypto"
import { Effect } from "effect"
import { MessageId } from "../domain/Ids.ts"
import { namesIn } from "../domain/Mentions.ts"
import { Log, type NewEntry } from "./Log.ts"
import type { MessageChanges } from "./MessageChanges.ts"
import { messageProblems } from "./MessageRules.ts"

/** Forwarding, on any log: the normal append, of a copy. */
export const makeForward = Effect.map(Log, (log) => {
  const forward: MessageChanges["Service"]["forward"] = Effect.fn("MessageChanges.forward")(function* (
    userId,
    conversationId,
    messageId,
    { clientMessageId, conversationId: to }
  ) {
    const requestHash = hash("sha256", JSON.stringify(["forward", conversationId, messageId]), "buffer")
    const known = yield* log.known({ conversationId: to, senderId: userId, clientMessageId, requestHash })
    const appended =
      known ??
      (yield* Effect.gen(function* () {
        const { body, deletedAt, payload, type } = yield* log.message(conversationId, userId, messageId)
        if (deletedAt !== null) return yield* messageProblems.deleted
        const names = namesIn(body)
        const entry: NewEntry = {
          id: MessageId.make(randomUUIDv7()),
          conversationId: to,
          senderId: userId,
          clientMessageId,
          requestHash,
          type,
          body,
          replyTo: null,
          extra: names.length === 0 && payload === null ? null : { names, ...(payload && { payload }) }
        }
        return yield* log.append(entry)
      }))
    const { ack, message } = appended
    return { message: message ?? (yield* log.message(to, userId, ack.messageId)), duplicate: ack.duplicate }
  })
  return forward
})
