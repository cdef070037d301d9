import { hash, randomUUIDv7 } from "node:crypto"
import { Effect } from "effect"
import { type Attachment, withId } from "../../domain/Attachment.ts"
import { AttachmentId, MessageId } from "../../domain/Ids.ts"
import { namesIn } from "../../domain/Mentions.ts"
import { isSilent } from "../../domain/Payload.ts"
import type { NewEntry } from "../log/Entry.ts"
import { Log } from "../log/Log.ts"
import type { MessageChanges } from "./MessageChanges.ts"
import { messageProblems } from "./MessageRules.ts"

/** Attachments of the copy of a message. They share the files of the original, and have ids of their own. */
const copiesOf = (originals: ReadonlyArray<Attachment>) => ({
  attachments: originals.map((original) => withId(original, AttachmentId.make(randomUUIDv7()))),
  sources: originals.map(({ id }) => id)
})

/** Makes `MessageChanges.forward` on any log: a normal append of a copy. */
export const makeForward = Effect.map(Log, (log) => {
  const forward: MessageChanges["Service"]["forward"] = Effect.fn("MessageChanges.forward")(function* (
    userId,
    conversationId,
    messageId,
    { clientMessageId, conversationId: to }
  ) {
    const requestHash = hash("sha256", JSON.stringify(["forward", conversationId, messageId]), "hex")
    const known = yield* log.known({ conversationId: to, senderId: userId, clientMessageId, requestHash })
    const appended =
      known ??
      (yield* Effect.gen(function* () {
        const { attachments, body, deletedAt, type, ...message } = yield* log.message(userId, conversationId, messageId)
        const payload = isSilent(message.payload) ? null : message.payload
        if (deletedAt !== null) return yield* messageProblems.deleted
        const names = namesIn(body)
        const copied = attachments.length > 0 && copiesOf(attachments)
        const entry: NewEntry = {
          id: MessageId.make(randomUUIDv7()),
          conversationId: to,
          senderId: userId,
          clientMessageId,
          requestHash,
          // A copy is of the one who forwards it, and only programs write system messages.
          type: type === "system" ? "text" : type,
          body,
          replyTo: null,
          extra:
            names.length === 0 && payload === null && !copied ? null : { names, ...(payload && { payload }), ...copied }
        }
        return yield* log.append(entry)
      }))
    const { ack, message } = appended
    return { message: message ?? (yield* log.message(userId, to, ack.messageId)), duplicate: ack.duplicate }
  })
  return forward
})
