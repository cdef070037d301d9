import { Schema } from "effect"
import { ClientMessageId, ConversationId, MessageId, Seq, Timestamp, UserId } from "./Ids.ts"
import { Payload } from "./Payload.ts"
import { Text } from "./Text.ts"

export const MessageType = Schema.Literals([
  "text",
  "image",
  "video",
  "audio",
  "file",
  "location",
  "contact",
  "sticker",
  "poll",
  "system"
])
export type MessageType = typeof MessageType.Type

/** `excerpt` is the first 140 characters of the original, gone when it is deleted. */
export const ReplyTo = Schema.Struct({
  messageId: MessageId,
  seq: Seq,
  senderId: Schema.NullOr(UserId),
  excerpt: Schema.String,
  deleted: Schema.Boolean,
  hidden: Schema.optionalKey(Schema.Boolean)
}).annotate({ identifier: "ReplyTo" })
export type ReplyTo = typeof ReplyTo.Type

export const excerptLength = 140

export const Attachment = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  contentType: Schema.String,
  size: Schema.Int,
  width: Schema.NullOr(Schema.Int),
  height: Schema.NullOr(Schema.Int),
  url: Schema.String
}).annotate({ identifier: "Attachment" })

/** `me` is absent in events and in replay, so that one encoding serves everybody. */
export const Reaction = Schema.Struct({
  emoji: Schema.String,
  count: Schema.Int,
  me: Schema.optionalKey(Schema.Boolean)
}).annotate({ identifier: "Reaction" })

/**
 * `seq` is that of the event that created it; `changedSeq` that of the last event that changed it in any way: a reply
 * changes the root of its thread. A deleted message keeps its place with an empty `body`; `threadReplyCount` counts
 * deleted replies too. `mentionsAll`: an owner or admin wrote `@all`. `payload` by the type, `votes` of a poll by its
 * options, and `myVote` the options that I chose: as with `me` of a reaction, it is absent in events and in replay.
 */
export const Message = Schema.Struct({
  id: MessageId,
  conversationId: ConversationId,
  seq: Seq,
  senderId: UserId,
  clientMessageId: Schema.String,
  type: MessageType,
  body: Schema.String,
  replyTo: Schema.NullOr(ReplyTo),
  threadRootId: Schema.NullOr(MessageId),
  threadReplyCount: Schema.Int,
  mentions: Schema.Array(UserId),
  mentionsAll: Schema.Boolean,
  payload: Schema.NullOr(Payload),
  votes: Schema.NullOr(Schema.Array(Schema.Int)),
  myVote: Schema.optionalKey(Schema.Array(Schema.Int)),
  attachments: Schema.Array(Attachment),
  reactions: Schema.Array(Reaction),
  pinned: Schema.Boolean,
  createdAt: Timestamp,
  editedAt: Schema.NullOr(Timestamp),
  deletedAt: Schema.NullOr(Timestamp),
  revision: Schema.Int,
  changedSeq: Seq
}).annotate({ identifier: "Message" })
export type Message = typeof Message.Type

/**
 * What a client sends. The limit on the body's length is a setting and checked by Messages, as is that `payload` is the
 * one of its `type`.
 */
export const NewMessage = Schema.Struct({
  clientMessageId: ClientMessageId,
  body: Text,
  replyTo: Schema.optionalKey(Schema.NullOr(MessageId)),
  threadRoot: Schema.optionalKey(Schema.NullOr(MessageId)),
  attachments: Schema.optionalKey(Schema.Array(Schema.String)),
  type: Schema.optionalKey(MessageType),
  payload: Schema.optionalKey(Schema.NullOr(Payload))
}).annotate({ identifier: "NewMessage" })
export type NewMessage = typeof NewMessage.Type

/** The answer to a send over HTTP and RPC. `duplicate`: this id was stored before, here is the original. */
export const Sent = Schema.Struct({ message: Message, duplicate: Schema.Boolean }).annotate({ identifier: "Sent" })
export type Sent = typeof Sent.Type

/** The answer to a send over a WebSocket: the whole message comes as the event. */
export const Ack = Schema.Struct({
  messageId: MessageId,
  seq: Seq,
  createdAt: Timestamp,
  duplicate: Schema.Boolean
}).annotate({ identifier: "Ack" })
export type Ack = typeof Ack.Type

/** A message has at most this many different reactions. */
export const maxReactions = 20

/** What an edit changes. */
export const MessageEdit = Schema.Struct({ body: Text }).annotate({ identifier: "MessageEdit" })
export type MessageEdit = typeof MessageEdit.Type

/** What a message said from `createdAt` on, until its next revision. */
export const Revision = Schema.Struct({ revision: Schema.Int, body: Schema.String, createdAt: Timestamp }).annotate({
  identifier: "Revision"
})
export type Revision = typeof Revision.Type

/** Where a copy of a message goes; the id is that of the copy. */
export const Forward = Schema.Struct({ conversationId: ConversationId, clientMessageId: ClientMessageId }).annotate({
  identifier: "Forward"
})
export type Forward = typeof Forward.Type

/** A page of history, always in ascending `seq`. */
export const MessagePage = Schema.Struct({
  items: Schema.Array(Message),
  hasBefore: Schema.Boolean,
  hasAfter: Schema.Boolean
}).annotate({ identifier: "MessagePage" })
export type MessagePage = typeof MessagePage.Type
