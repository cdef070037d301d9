import type { ConversationId, MessageId, UserId } from "../domain/Ids.ts"
import { everybody } from "../domain/Mentions.ts"
import type { Message, MessageType } from "../domain/Message.ts"
import type { Payload } from "../domain/Payload.ts"
import { messageSeenFrom } from "../domain/Visibility.ts"

/**
 * A message as it comes from storage. `threadPlace`: the n-th reply of its thread. `mine` are the emoji with which the
 * reader reacted and `myVote` the options that he chose, both absent where one encoding serves everybody.
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
  readonly payload: Payload | null
  readonly votes: ReadonlyArray<number> | null
  readonly mine?: ReadonlyArray<string>
  readonly myVote?: ReadonlyArray<number> | null
}

/** What a member who sees from `visibleFromSeq` on is shown of a message. */
export const toMessage = (row: MessageRow, visibleFromSeq: number): Message =>
  messageSeenFrom(messageOf(row), visibleFromSeq)

/** Without any member's view of it. */
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
  attachments: [],
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

/** The event that created a message; that of a reply with the count to which it brought its thread. */
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
  r.sender_id AS reply_sender_id, left(r.body, 140) AS reply_excerpt, r.deleted_at IS NOT NULL AS reply_deleted,
  m.reactions, m.pinned_at IS NOT NULL AS pinned, m.thread_root_id, m.thread_root_seq, m.thread_place,
  m.thread_reply_count, m.mentions, m.payload, m.votes`

/** The columns `mine` and `my_vote`, for the membership `me` of the reader. */
export const myColumns = `CASE WHEN m.reactions IS NULL THEN '{}' ELSE ARRAY(
  SELECT x.emoji FROM message_reactions x WHERE x.conversation_id = m.conversation_id AND x.message_seq = m.seq
    AND x.user_id = me.user_id) END AS mine,
  CASE WHEN m.votes IS NOT NULL THEN COALESCE((SELECT x.options FROM poll_votes x
    WHERE x.conversation_id = m.conversation_id AND x.message_seq = m.seq AND x.user_id = me.user_id), '{}')
  END AS my_vote`

/**
 * What a `messages m` replies to, as `r`. The LIMIT keeps it one index probe a message: on a database that has no
 * statistics yet the planner would rather read the whole conversation for each.
 */
export const repliedTo = `LEFT JOIN LATERAL (
    SELECT * FROM messages x WHERE x.conversation_id = m.conversation_id AND x.seq = m.reply_to_seq LIMIT 1
  ) r ON true`

export const messageTables = `messages m ${repliedTo}`

/**
 * That a message, by its name in the statement, is not hidden for the membership `me`. The OFFSET 0 keeps it one index
 * probe for each message of those who hide any: else the planner may read what all users have hidden.
 */
export const notHiddenFrom = (message: string) => `(NOT me.hides OR NOT EXISTS (SELECT FROM hidden_messages hidden
  WHERE hidden.user_id = me.user_id AND hidden.conversation_id = ${message}.conversation_id
    AND hidden.message_seq = ${message}.seq OFFSET 0))`
