import type { Event } from "./Event.ts"
import type { MessageId } from "./Ids.ts"
import type { Message } from "./Message.ts"

/** What a member is shown in place of a message that lies before what he may see. */
export const hidden = (messageId: MessageId, seq: number) =>
  ({ messageId, seq, senderId: null, excerpt: "", deleted: false, hidden: true }) as const

/** A message as a member is shown it who sees from `visibleFromSeq` on, which must not be after it. */
export const messageSeenFrom = (message: Message, visibleFromSeq: number): Message =>
  message.replyTo === null || message.replyTo.seq >= visibleFromSeq
    ? message
    : { ...message, replyTo: hidden(message.replyTo.messageId, message.replyTo.seq) }

/** The seqs of the messages that an event tells something of, besides one that it creates. */
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

/** The lowest of those seqs, or null: whoever sees from there on is shown the whole event. */
export const lowestReference = (event: Event): number | null => {
  const seqs = references(event)
  return seqs.length === 0 ? null : Math.min(...seqs)
}

/** An event as a member is shown it who sees from `visibleFromSeq` on: the same object when nothing is to be hidden. */
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
