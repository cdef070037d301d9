import { Schema } from "effect"
import { ConversationId, ScheduledMessageId, Timestamp } from "./Ids.ts"
import { Instant } from "./Instant.ts"
import { NewMessage } from "./Message.ts"

const { clientMessageId: _, ...fields } = NewMessage.fields

/** What is to be sent: a NewMessage, whose `clientMessageId` will be the id of the scheduled one. */
export const ScheduledContent = Schema.Struct(fields)
export type ScheduledContent = typeof ScheduledContent.Type

/** `sendAt` is in the future, by a year at most. */
export const NewScheduledMessage = Schema.Struct({
  conversationId: ConversationId,
  sendAt: Instant,
  ...fields
}).annotate({ identifier: "NewScheduledMessage" })
export type NewScheduledMessage = typeof NewScheduledMessage.Type

/** The fields to change. */
export const ScheduledMessageChange = Schema.Struct({
  sendAt: Schema.optionalKey(Instant),
  body: Schema.optionalKey(NewMessage.fields.body)
}).annotate({ identifier: "ScheduledMessageChange" })
export type ScheduledMessageChange = typeof ScheduledMessageChange.Type

/**
 * A message that I have scheduled; once it is sent it is a message like any other and no longer here. `failed`: it was
 * refused when its time came, for the reason in `failure`.
 */
export const ScheduledMessage = Schema.Struct({
  id: ScheduledMessageId,
  conversationId: ConversationId,
  sendAt: Timestamp,
  status: Schema.Literals(["scheduled", "sending", "failed"]),
  failure: Schema.NullOr(Schema.Struct({ type: Schema.String, detail: Schema.String })),
  createdAt: Timestamp,
  ...fields
}).annotate({ identifier: "ScheduledMessage" })
export type ScheduledMessage = typeof ScheduledMessage.Type
