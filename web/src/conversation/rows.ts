import type { Message, Sending } from "../chat/types.ts"
import { dayOf } from "../text/format.ts"

/** One line of the list of messages. */
export type Row =
  | { readonly kind: "beginning"; readonly key: string }
  | { readonly kind: "day"; readonly key: string; readonly at: string }
  | { readonly kind: "unread"; readonly key: string }
  | { readonly kind: "message"; readonly key: string; readonly message: Message; readonly follows: boolean }
  | { readonly kind: "sending"; readonly key: string; readonly sending: Sending }

/** Messages of one sender within this time are shown as one block. */
const blockMillis = 5 * 60_000

const follows = (message: Message, previous: Message | undefined) =>
  previous !== undefined &&
  previous.senderId === message.senderId &&
  message.replyTo === null &&
  Date.parse(message.createdAt) - Date.parse(previous.createdAt) < blockMillis

/**
 * The lines for messages: a day before its first message, a divider before the first one after `readSeq` that is not mine,
 * and at the end what is on its way. A message keeps its key when it arrives, so that its line is not made again.
 */
export const toRows = (
  messages: ReadonlyArray<Message>,
  sending: ReadonlyArray<Sending>,
  options: { readonly me: string; readonly readSeq: number | null; readonly atBeginning: boolean }
): ReadonlyArray<Row> => {
  const rows: Array<Row> = options.atBeginning ? [{ kind: "beginning", key: "beginning" }] : []
  const arrived = new Set<string>()
  let previous: Message | undefined
  let previousDay: number | undefined
  let divided = options.readSeq === null
  for (const message of messages) {
    const day = dayOf(message.createdAt)
    if (day !== previousDay) {
      rows.push({ kind: "day", key: `day ${day}`, at: message.createdAt })
      previous = undefined
      previousDay = day
    }
    if (!divided && message.seq > (options.readSeq ?? 0) && message.senderId !== options.me) {
      rows.push({ kind: "unread", key: "unread" })
      divided = true
      previous = undefined
    }
    const mine = message.senderId === options.me
    rows.push({
      kind: "message",
      key: mine ? message.clientMessageId : message.id,
      message,
      follows: follows(message, previous)
    })
    if (mine) arrived.add(message.clientMessageId)
    previous = message
  }
  for (const one of sending) {
    const { clientMessageId, threadRoot } = one.message
    if (!arrived.has(clientMessageId) && threadRoot == null)
      rows.push({ kind: "sending", key: clientMessageId, sending: one })
  }
  return rows
}
