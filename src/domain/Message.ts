import { Schema } from "effect"
import { Attachment, maxAttachments } from "./Attachment.ts"
import { AttachmentId, ClientMessageId, ConversationId, MessageId, Seq, UserId } from "./Ids.ts"
import { NewPayload, SentPayload } from "./Payload.ts"
import { Text } from "./Text.ts"
import { Timestamp } from "./Time.ts"

/** The types of messages. A client that does not know a type can always show the body. */
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

/**
 * The message that another one replies to. `excerpt` is the beginning of its body, and is empty when it is deleted. With
 * `hidden` it lies before the part of the history that the reader may see, and `senderId` and `excerpt` are withheld.
 */
export const ReplyTo = Schema.Struct({
  messageId: MessageId,
  seq: Seq,
  senderId: Schema.NullOr(UserId),
  excerpt: Schema.String,
  deleted: Schema.Boolean,
  hidden: Schema.optionalKey(Schema.Boolean)
}).annotate({ identifier: "ReplyTo" })
export type ReplyTo = typeof ReplyTo.Type

/** The length of the excerpt in a reply, in characters (code points). */
export const excerptLength = 140

/**
 * How many users reacted to a message with one emoji. `me` says whether I did; events and replays leave it out, so that
 * all members receive the same bytes.
 */
const Reaction = Schema.Struct({
  emoji: Schema.String,
  count: Schema.Int,
  me: Schema.optionalKey(Schema.Boolean)
}).annotate({ identifier: "Reaction" })

/**
 * A message. `seq` is the position of the event that created it, and `changedSeq` that of the last event that changed it
 * in any way; a reply changes the root of its thread. A deleted message keeps its position and has an empty `body`.
 * `threadReplyCount` includes deleted replies. `mentionsAll` is true if an owner or admin wrote `@all`. The form of
 * `payload` depends on `type`. `votes` counts the votes for each option of a poll, and `myVote` lists the options that I
 * chose; like `me` of a reaction, it is absent in events and replays.
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
  payload: Schema.NullOr(SentPayload),
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
 * A message to send. Messages checks the length of the body, whose limit is a setting, and that `payload` has the form
 * that belongs to `type`.
 */
export const NewMessage = Schema.Struct({
  clientMessageId: ClientMessageId,
  body: Text,
  replyTo: Schema.optionalKey(Schema.NullOr(MessageId)),
  threadRoot: Schema.optionalKey(Schema.NullOr(MessageId)),
  attachments: Schema.optionalKey(Schema.Array(AttachmentId).check(Schema.isMaxLength(maxAttachments))),
  type: Schema.optionalKey(MessageType),
  payload: Schema.optionalKey(Schema.NullOr(NewPayload)),
  silent: Schema.optionalKey(Schema.Boolean).annotate({
    description: "For a message of type `system`, which only programs send: it does not count as unread"
  })
}).annotate({ identifier: "NewMessage" })
export type NewMessage = typeof NewMessage.Type

/** The answer to a send over HTTP and RPC. If `duplicate`, the send was stored earlier and this is that message. */
export const Sent = Schema.Struct({ message: Message, duplicate: Schema.Boolean }).annotate({ identifier: "Sent" })
export type Sent = typeof Sent.Type

/** The answer to a send over a WebSocket. It is short, because the whole message follows as an event. */
export const Ack = Schema.Struct({
  messageId: MessageId,
  seq: Seq,
  createdAt: Timestamp,
  duplicate: Schema.Boolean
}).annotate({ identifier: "Ack" })
export type Ack = typeof Ack.Type

/** A message can have at most this many different emoji as reactions. */
export const maxReactions = 20

/** One member can give a message at most this many of them. The SQL function max_reactions_of_member says the same. */
export const maxReactionsOfMember = 10

/** A message can be edited at most this often. The SQL function max_edits says the same. */
export const maxEdits = 100

/** The new body of an edited message. */
export const MessageEdit = Schema.Struct({ body: Text }).annotate({ identifier: "MessageEdit" })
export type MessageEdit = typeof MessageEdit.Type

/** The body that a message had from `createdAt` until its next revision. */
export const Revision = Schema.Struct({ revision: Schema.Int, body: Schema.String, createdAt: Timestamp }).annotate({
  identifier: "Revision"
})
export type Revision = typeof Revision.Type

/** The conversation that receives the copy of a forwarded message, and the `clientMessageId` of the copy. */
export const Forward = Schema.Struct({ conversationId: ConversationId, clientMessageId: ClientMessageId }).annotate({
  identifier: "Forward"
})
export type Forward = typeof Forward.Type

/** A page of history, always in ascending order of `seq`. */
export const MessagePage = Schema.Struct({
  items: Schema.Array(Message),
  hasBefore: Schema.Boolean,
  hasAfter: Schema.Boolean
}).annotate({ identifier: "MessagePage" })
export type MessagePage = typeof MessagePage.Type
