import { Schema } from "effect"
import { Conversation } from "../../domain/Conversation.ts"
import { Draft } from "../../domain/Draft.ts"
import { ClientMessageId, ConversationId, MessageId, Seq, UserId } from "../../domain/Ids.ts"
import { Message, MessageType } from "../../domain/Message.ts"
import { NewPayload } from "../../domain/Payload.ts"
import { Me } from "../../domain/User.ts"

/** A conversation with its cursor. They are one entry, so that a cursor never covers what was not stored. */
export const SavedConversation = Schema.toCodecJson(
  Schema.Struct({
    state: Schema.Struct({
      conversation: Conversation,
      messages: Schema.NullOr(Schema.Array(Message)),
      hasBefore: Schema.Boolean,
      read: Schema.ReadonlyMap(UserId, Seq),
      delivered: Schema.ReadonlyMap(UserId, Seq),
      starred: Schema.ReadonlySet(MessageId),
      draft: Schema.NullOr(Draft)
    }),
    published: Seq,
    unsure: Schema.Boolean,
    recount: Schema.Boolean,
    hollow: Schema.Boolean
  })
)
export type SavedConversation = typeof SavedConversation.Type

/** What a resume needs besides the cursors. */
export const SavedSession = Schema.toCodecJson(
  Schema.Struct({ me: Me, last: Schema.Struct({ userSeq: Seq, epoch: Schema.optionalKey(Schema.String) }) })
)
export type SavedSession = typeof SavedSession.Type

/** A file of a message, which a database keeps as it is. */
const SavedFile = Schema.Struct({
  name: Schema.String,
  content: Schema.declare((content): content is Blob => content instanceof Blob),
  waveform: Schema.optionalKey(Schema.Array(Schema.Number)),
  upload: Schema.optionalKey(Schema.String),
  attachment: Schema.optionalKey(Schema.Struct({ id: Schema.String, contentType: Schema.String }))
})

/** A message that is not acknowledged yet. `order` grows with each message that is written. */
export const SavedMessage = Schema.Struct({
  order: Schema.Int,
  message: Schema.Struct({
    conversationId: ConversationId,
    clientMessageId: ClientMessageId,
    senderId: UserId,
    body: Schema.String,
    replyTo: Schema.optionalKey(Schema.NullOr(MessageId)),
    threadRoot: Schema.optionalKey(Schema.NullOr(MessageId)),
    attachments: Schema.optionalKey(Schema.Array(Schema.Union([Schema.String, SavedFile]))),
    type: Schema.optionalKey(MessageType),
    payload: Schema.optionalKey(Schema.toEncoded(NewPayload))
  })
})
