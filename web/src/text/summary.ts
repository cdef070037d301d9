import type { Message } from "../chat/types.ts"
import { lineOf } from "../conversation/Markdown.tsx"
import { text } from "./text.ts"

/** A message in one line: its text, or what it has instead. */
export const summaryOf = ({ attachments, body, deletedAt, type }: Message): string => {
  if (deletedAt !== null) return text.deletedMessage
  return lineOf(body) || body || (attachments[0]?.name ?? type)
}
