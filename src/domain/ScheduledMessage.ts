import { Schema } from "effect"
import { ConversationId, ScheduledMessageId } from "./Ids.ts"
import { NewMessage } from "./Message.ts"
import { Payload } from "./Payload.ts"
import { DateFromTimestamp, Timestamp } from "./Time.ts"

const { clientMessageId: _, silent: __, ...fields } = NewMessage.fields

/** The fields as they are stored and shown. They are not checked again, so that a stricter rule keeps old rows readable. */
const stored = { ...fields, body: Schema.String, payload: Schema.optionalKey(Schema.NullOr(Payload)) }

/** The message to send. It is a NewMessage whose `clientMessageId` is the id of the scheduled message. */
export const ScheduledContent = Schema.Struct(stored)
export type ScheduledContent = typeof ScheduledContent.Type

/** A message to send later. `sendAt` must be in the future, by at most a year. */
export const NewScheduledMessage = Schema.Struct({
  conversationId: ConversationId,
  sendAt: DateFromTimestamp,
  ...fields
}).annotate({ identifier: "NewScheduledMessage" })
export type NewScheduledMessage = typeof NewScheduledMessage.Type

/** The fields of a scheduled message to change. */
export const ScheduledMessageChange = Schema.Struct({
  sendAt: Schema.optionalKey(DateFromTimestamp),
  body: Schema.optionalKey(NewMessage.fields.body)
}).annotate({ identifier: "ScheduledMessageChange" })
export type ScheduledMessageChange = typeof ScheduledMessageChange.Type

/**
 * A message that I have scheduled. Once sent, it is an ordinary message and no longer in this list. If its send was
 * refused, its status is `failed`, and `failure` has the problem.
 */
export const ScheduledMessage = Schema.Struct({
  id: ScheduledMessageId,
  conversationId: ConversationId,
  sendAt: Timestamp,
  status: Schema.Literals(["scheduled", "sending", "failed"]),
  failure: Schema.NullOr(Schema.Struct({ type: Schema.String, detail: Schema.String })),
  createdAt: Timestamp,
  ...stored
}).annotate({ identifier: "ScheduledMessage" })
export type ScheduledMessage = typeof ScheduledMessage.Type
