import { Schema } from "effect"
import { Seq, UserId } from "./Ids.ts"
import { Message, MessagePage, ReplyTo } from "./Message.ts"

/**
 * A thread with a page of its replies, in ascending `seq`. `root` is its hidden form when it lies before what I may see.
 * `participants` replied, the latest first, at most 50 of them; `unreadCount` is derived from my marker `readSeq`, and
 * capped at 100.
 */
export const Thread = Schema.Struct({
  root: Schema.Union([Message, ReplyTo]),
  replyCount: Schema.Int,
  participants: Schema.Array(UserId),
  readSeq: Seq,
  unreadCount: Schema.Int,
  ...MessagePage.fields
}).annotate({ identifier: "Thread" })
export type Thread = typeof Thread.Type

export const participantCap = 50

/** Up to where I have read a thread. */
export const ThreadMark = Schema.Struct({ seq: Seq }).annotate({ identifier: "ThreadMark" })
