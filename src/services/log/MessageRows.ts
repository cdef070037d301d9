import type { Attachment } from "../../domain/Attachment.ts"
import { type ConversationId, everybody, type MessageId, type UserId } from "../../domain/Ids.ts"
import { excerptLength, type Message, type MessageType } from "../../domain/Message.ts"
import type { SentPayload } from "../../domain/Payload.ts"
import { messageSeenFrom } from "../../domain/Visibility.ts"

/**
 * A message as it comes from storage. A reply in a thread is the `threadPlace`-th one there. `mine` has the emoji with
 * which the reader reacted and `myVote` the options that the reader chose; both are absent where one encoding serves
 * all members.
 */
export interface MessageRow {
  readonly id: MessageId
  readonly conversationId: ConversationId
  readonly seq: number
  readonly senderId: UserId
  readonly clientMessageId: string
  readonly type: MessageType
  readonly body: string
  readonly createdAt: Date
  readonly editedAt: Date | null
  readonly deletedAt: Date | null
  readonly revision: number
  readonly changedSeq: number
  readonly replyId: MessageId | null
  readonly replySeq: number
  readonly replySenderId: UserId
  readonly replyExcerpt: string
  readonly replyDeleted: boolean
  readonly reactions: ReadonlyArray<{ readonly emoji: string; readonly count: number }> | null
  readonly pinned: boolean
  readonly threadRootId: MessageId | null
  readonly threadRootSeq: number | null
  readonly threadPlace: number | null
  readonly threadReplyCount: number
  readonly mentions: ReadonlyArray<UserId> | null
  readonly payload: SentPayload | null
  readonly votes: ReadonlyArray<number> | null
  readonly attachments: ReadonlyArray<Attachment> | null
  readonly mine?: ReadonlyArray<string>
  readonly myVote?: ReadonlyArray<number> | null
}

/** The message as a member sees it whose history begins at `visibleFromSeq`. */
export const toMessage = (row: MessageRow, visibleFromSeq: number): Message =>
  messageSeenFrom(messageOf(row), visibleFromSeq)

/** The message as it is stored, without any member's view of it. */
export const messageOf = (row: MessageRow): Message => ({
  id: row.id,
  conversationId: row.conversationId,
  seq: row.seq,
  senderId: row.senderId,
  clientMessageId: row.clientMessageId,
  type: row.type,
  body: row.body,
  replyTo:
    row.replyId === null
      ? null
      : {
          messageId: row.replyId,
          seq: row.replySeq,
          senderId: row.replySenderId,
          excerpt: row.replyExcerpt,
          deleted: row.replyDeleted
        },
  threadRootId: row.threadRootId,
  threadReplyCount: row.threadReplyCount,
  mentions: row.mentions?.filter((id) => id !== everybody) ?? [],
  mentionsAll: row.mentions?.includes(everybody) ?? false,
  payload: row.payload,
  votes: row.votes,
  ...(row.myVote && { myVote: row.myVote }),
  attachments: row.attachments ?? [],
  reactions: (row.reactions ?? []).map(({ count, emoji }) =>
    row.mine === undefined ? { emoji, count } : { emoji, count, me: row.mine.includes(emoji) }
  ),
  pinned: row.pinned,
  createdAt: row.createdAt.toISOString(),
  editedAt: row.editedAt?.toISOString() ?? null,
  deletedAt: row.deletedAt?.toISOString() ?? null,
  revision: row.revision,
  changedSeq: row.changedSeq
})

/** The event that created a message. For a reply in a thread it has the new reply count of the thread's root. */
export const messageCreated = (row: MessageRow) => {
  const message = messageOf(row)
  const { threadPlace, threadRootId, threadRootSeq } = row
  return {
    event: "message.created",
    conversationId: message.conversationId,
    seq: message.seq,
    at: message.createdAt,
    actorId: message.senderId,
    data:
      threadRootId === null || threadRootSeq === null || threadPlace === null
        ? { message }
        : { message, threadRoot: { messageId: threadRootId, seq: threadRootSeq, threadReplyCount: threadPlace } }
  } as const
}

/** The columns of a MessageRow, from a `messages m` and the message `r` that it replies to. */
export const messageColumns = `m.id, m.conversation_id, m.seq, m.sender_id, m.client_message_id, m.type, m.body,
  m.created_at, m.edited_at, m.deleted_at, m.revision, m.changed_seq, r.id AS reply_id, r.seq AS reply_seq,
  r.sender_id AS reply_sender_id, left(r.body, ${excerptLength}) AS reply_excerpt, r.deleted_at IS NOT NULL AS reply_deleted,
  m.reactions, m.pinned_at IS NOT NULL AS pinned, m.thread_root_id, m.thread_root_seq, m.thread_place,
  m.thread_reply_count, m.mentions, m.payload, m.votes, m.attachments`

/** The columns `mine` and `my_vote`, for the membership `me` of the reader. */
export const myColumns = `CASE WHEN m.reactions IS NULL THEN '{}' ELSE ARRAY(
  SELECT x.emoji FROM message_reactions x WHERE x.conversation_id = m.conversation_id AND x.message_seq = m.seq
    AND x.user_id = me.user_id) END AS mine,
  CASE WHEN m.votes IS NOT NULL THEN COALESCE((SELECT x.options FROM poll_votes x
    WHERE x.conversation_id = m.conversation_id AND x.message_seq = m.seq AND x.user_id = me.user_id), '{}')
  END AS my_vote`

/**
 * Joins the message that a `messages m` replies to, as `r`. The LIMIT keeps it at one index probe for each message: on
 * a database without statistics the planner would otherwise read the whole conversation for each.
 */
export const repliedTo = `LEFT JOIN LATERAL (
    SELECT * FROM messages x WHERE x.conversation_id = m.conversation_id AND x.seq = m.reply_to_seq LIMIT 1
  ) r ON true`

/** The tables of `messageColumns`. */
export const messageTables = `messages m ${repliedTo}`

/**
 * The condition that a message, given by its alias in the statement, is not hidden by the membership `me`. The OFFSET 0
 * keeps it at one index probe for each message, and only for members who hide any: without it the planner may read the
 * hidden messages of all users.
 */
export const notHiddenFrom = (message: string) => `(NOT me.hides OR NOT EXISTS (SELECT FROM hidden_messages hidden
  WHERE hidden.user_id = me.user_id AND hidden.conversation_id = ${message}.conversation_id
    AND hidden.message_seq = ${message}.seq OFFSET 0))`
