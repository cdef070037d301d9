import type { Message } from "../chat/types.ts"
import { text } from "./text.ts"

/** A message in one line: its text, or what it has instead. */
export const summaryOf = ({ attachments, body, deletedAt, type }: Message): string => {
  if (deletedAt !== null) return text.deletedMessage
  return body || (attachments[0]?.name ?? type)
}
