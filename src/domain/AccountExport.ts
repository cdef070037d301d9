import { Schema } from "effect"
import { Account } from "./Account.ts"
import { Attachment } from "./Attachment.ts"
import { Block } from "./Block.ts"
import { Kind, Membership } from "./Conversation.ts"
import { Draft } from "./Draft.ts"
import { ConversationId, MessageId, Seq, SessionId } from "./Ids.ts"
import { MessageType } from "./Message.ts"
import { SentPayload } from "./Payload.ts"
import { ScheduledMessage } from "./ScheduledMessage.ts"
import { Timestamp } from "./Time.ts"

const { archived, mutedUntil, notify, pinned, readSeq, role } = Membership.fields

/** A conversation that the user is or was a member of, with the user's own settings. */
export const ExportedConversation = Schema.Struct({
  id: ConversationId,
  kind: Kind,
  title: Schema.NullOr(Schema.String),
  joinedAt: Timestamp,
  left: Schema.Boolean,
  ...{ role, readSeq, mutedUntil, archived, pinned, notify }
}).annotate({ identifier: "ExportedConversation" })
export type ExportedConversation = typeof ExportedConversation.Type

/** A message that the user has sent and nobody has deleted. */
export const ExportedMessage = Schema.Struct({
  id: MessageId,
  conversationId: ConversationId,
  seq: Seq,
  type: MessageType,
  body: Schema.String,
  payload: Schema.NullOr(SentPayload),
  /** Its files, which the user gets at their `url`; in a conversation that the user has left, this is a 404. */
  attachments: Schema.Array(Attachment),
  createdAt: Timestamp,
  editedAt: Schema.NullOr(Timestamp),
  /** The bodies that the message had before its edits, the oldest first. */
  revisions: Schema.Array(Schema.Struct({ body: Schema.String, createdAt: Timestamp }))
}).annotate({ identifier: "ExportedMessage" })
export type ExportedMessage = typeof ExportedMessage.Type

/** What the user has done with a message, of whomever: `votes` are the options that the user chose in a poll, from 0. */
export const ExportedMarks = Schema.Struct({
  conversationId: ConversationId,
  seq: Seq,
  starred: Schema.Boolean,
  hidden: Schema.Boolean,
  reactions: Schema.Array(Schema.String),
  votes: Schema.NullOr(Schema.Array(Schema.Int))
}).annotate({ identifier: "ExportedMarks" })
export type ExportedMarks = typeof ExportedMarks.Type

/** A device on which the user is or was signed in, with the address and the program that it had. */
export const ExportedSession = Schema.Struct({
  id: SessionId,
  userAgent: Schema.String,
  ip: Schema.String,
  createdAt: Timestamp,
  lastUsedAt: Timestamp,
  expiresAt: Timestamp,
  endedAt: Schema.NullOr(Timestamp)
}).annotate({ identifier: "ExportedSession" })
export type ExportedSession = typeof ExportedSession.Type

const line = <const Name extends string, S extends Schema.Constraint>(name: Name, data: S) =>
  Schema.Struct({ kind: Schema.Literal(name), data })

/** A line of an export. The last one is `end`: without it the export is not complete. */
export const ExportLine = Schema.Union([
  line("profile", Account),
  line("conversation", ExportedConversation),
  line("message", ExportedMessage),
  line("marks", ExportedMarks),
  line("draft", Draft),
  line("scheduled-message", ScheduledMessage),
  line("block", Block),
  line("session", ExportedSession),
  Schema.Struct({ kind: Schema.Literal("end") })
]).annotate({ identifier: "ExportLine" })
export type ExportLine = typeof ExportLine.Type
