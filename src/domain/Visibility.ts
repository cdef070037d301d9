import type { Event } from "./Event.ts"
import type { MessageId } from "./Ids.ts"
import type { Message } from "./Message.ts"

/** The placeholder for a message that lies before the part of the history that a member may see. */
export const hidden = (messageId: MessageId, seq: number) =>
  ({ messageId, seq, senderId: null, excerpt: "", deleted: false, hidden: true }) as const

/**
 * A message as it is shown to a member who may see messages from `visibleFromSeq` on. The message itself must be one of
 * them; a hidden message that it replies to is replaced.
 */
export const messageSeenFrom = (message: Message, visibleFromSeq: number): Message =>
  message.replyTo === null || message.replyTo.seq >= visibleFromSeq
    ? message
    : { ...message, replyTo: hidden(message.replyTo.messageId, message.replyTo.seq) }

/** The seqs of the messages that an event contains or describes, except for the one that it creates. */
export const references = ({ data, seq }: Event): ReadonlyArray<number> => {
  const seqs: Array<number> = []
  if ("messageSeq" in data) seqs.push(data.messageSeq)
  if ("message" in data) {
    if (data.message.seq !== seq) seqs.push(data.message.seq)
    if (data.message.replyTo !== null) seqs.push(data.message.replyTo.seq)
  }
  if ("threadRoot" in data && data.threadRoot !== undefined) seqs.push(data.threadRoot.seq)
  return seqs
}

/** The lowest of the `references` of an event, or null. Members who may see messages from there on get the whole event. */
export const lowestReference = (event: Event): number | null => {
  const seqs = references(event)
  return seqs.length === 0 ? null : Math.min(...seqs)
}

/**
 * An event as it is shown to a member who may see messages from `visibleFromSeq` on; the same object if nothing is
 * hidden.
 */
export const seenFrom = (event: Event, visibleFromSeq: number): Event => {
  if (references(event).every((seq) => seq >= visibleFromSeq)) return event
  switch (event.event) {
    case "message.created": {
      const { message, threadRoot } = event.data
      const root =
        threadRoot !== undefined && threadRoot.seq < visibleFromSeq
          ? hidden(threadRoot.messageId, threadRoot.seq)
          : threadRoot
      return {
        ...event,
        data: { message: messageSeenFrom(message, visibleFromSeq), ...(root !== undefined && { threadRoot: root }) }
      }
    }
    case "message.edited": {
      if (!("message" in event.data)) return event
      const { message } = event.data
      return message.seq >= visibleFromSeq
        ? { ...event, data: { message: messageSeenFrom(message, visibleFromSeq) } }
        : { ...event, data: { messageId: message.id, messageSeq: message.seq } }
    }
    case "reaction.added":
    case "reaction.removed":
    case "poll.voted": {
      const { messageId, messageSeq } = event.data
      return { ...event, data: { messageId, messageSeq } }
    }
    default:
      return event
  }
}
