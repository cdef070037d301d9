import { Schema } from "effect"
import { Seq, UserId } from "./Ids.ts"
import { Message, MessagePage, ReplyTo } from "./Message.ts"

/**
 * A thread with a page of its replies, in ascending order of `seq`. `root` has its hidden form if it lies before the part
 * of the history that I may see. `participants` are the users who replied, the latest first and at most
 * `participantCap`. `unreadCount` follows from my marker `readSeq` and stops at 100.
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

/** A thread lists at most this many participants. */
export const participantCap = 50

/** I have read the replies of a thread up to `seq`. */
export const ThreadMark = Schema.Struct({ seq: Seq }).annotate({ identifier: "ThreadMark" })
