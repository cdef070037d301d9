import type { Attachment } from "../../domain/Attachment.ts"
import type { AttachmentId, ClientMessageId, ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import type { namesIn } from "../../domain/Mentions.ts"
import type { Ack, Message, MessageType } from "../../domain/Message.ts"
import type { SentPayload } from "../../domain/Payload.ts"

/** A message that is to be appended. `requestHash` tells a retry from another message under the same id, in hex digits. */
export interface NewEntry {
  readonly id: MessageId
  readonly conversationId: ConversationId
  readonly senderId: UserId
  readonly clientMessageId: ClientMessageId
  readonly requestHash: string
  readonly type: MessageType
  readonly body: string
  readonly replyTo: MessageId | null
  /** Null for a plain message. */
  readonly extra: Extra | null
}

/**
 * The parts of a message other than its text. `names` are the names in it that may mention members, from `namesIn`.
 * `attachments` are bound to the message; with `sources` they are copies of those of another message.
 */
interface Extra {
  readonly threadRoot?: MessageId
  readonly names?: ReturnType<typeof namesIn>
  readonly payload?: SentPayload
  readonly attachments?: ReadonlyArray<Attachment>
  readonly sources?: ReadonlyArray<AttachmentId>
}

/** The answer of an append. `message` is null for a duplicate: the original may have changed, so it must be read. */
export interface Appended {
  readonly ack: Ack
  readonly message: Message | null
}

/** Which page of the history to read. `around` puts the message of that seq in the middle of the page. */
export type HistoryPlace =
  | { readonly before: number }
  | { readonly after: number }
  | { readonly around: number }
  | { readonly newest: true }

/** The seqs of a page of history: the last `older` messages below `from`, and the first `newer` ones from it on. */
export const pageBounds = (place: HistoryPlace, limit: number) => {
  if ("before" in place) return { from: place.before, older: limit, newer: 0 }
  if ("after" in place) return { from: Math.min(place.after + 1, Number.MAX_SAFE_INTEGER), older: 0, newer: limit }
  if ("newest" in place) return { from: Number.MAX_SAFE_INTEGER, older: limit, newer: 0 }
  const older = Math.floor(limit / 2)
  return { from: place.around, older, newer: limit - older }
}
