import { Schema, SchemaGetter } from "effect"

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const nil = "00000000-0000-0000-0000-000000000000"

/**
 * An id that clients hand in. Ids are opaque to them, so one of another form is simply an id that does not exist:
 * it becomes the nil UUID, which nothing has, and ends in the same not-found as every other unknown id.
 */
const known = Schema.String.pipe(
  Schema.decode({
    decode: SchemaGetter.transform((text: string) => {
      const id = text.toLowerCase()
      return uuid.test(id) ? id : nil
    }),
    encode: SchemaGetter.passthrough()
  })
)

export const UserId = known.pipe(Schema.brand("UserId"))
export type UserId = typeof UserId.Type

export const SessionId = known.pipe(Schema.brand("SessionId"))
export type SessionId = typeof SessionId.Type

export const ConversationId = known.pipe(Schema.brand("ConversationId"))
export type ConversationId = typeof ConversationId.Type

export const MessageId = known.pipe(Schema.brand("MessageId"))
export type MessageId = typeof MessageId.Type

export const ScheduledMessageId = known.pipe(Schema.brand("ScheduledMessageId"))
export type ScheduledMessageId = typeof ScheduledMessageId.Type

/** Chosen by the sender, any text of 1–128 characters; unique per sender and conversation, for ever. */
export const ClientMessageId = Schema.String.check(
  Schema.isMinLength(1),
  Schema.isMaxLength(128),
  Schema.isPattern(/^[\x21-\x7e]+$/, { message: "must be 1 to 128 visible ASCII characters" })
).pipe(Schema.brand("ClientMessageId"))
export type ClientMessageId = typeof ClientMessageId.Type

/** What an invite's link carries. One of another form is simply one that does not exist. */
export const InviteCode = Schema.String.pipe(
  Schema.decode({
    decode: SchemaGetter.transform((text: string) => (/^[\w-]{1,64}$/.test(text) ? text : "")),
    encode: SchemaGetter.passthrough()
  }),
  Schema.brand("InviteCode")
)
export type InviteCode = typeof InviteCode.Type

/** A position in a conversation's log: 1 is the creation, then gapless. A cursor of 0 has seen nothing. */
export const Seq = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

/** The year 10,000, in milliseconds. */
const endOfTime = 253_402_300_800_000

/** A moment that clients hand in, as ISO 8601 has it with an offset or `Z`. */
export const Moment = Schema.String.check(
  Schema.isPattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/, {
    message: "must be a time such as 2030-01-31T12:00:00.000Z"
  }),
  Schema.makeFilter((text: string) => {
    const at = Date.parse(text)
    return at >= 0 && at < endOfTime ? undefined : "must be a time from 1970 to 9999"
  })
).annotate({ format: "date-time" })

/** ISO 8601 UTC with milliseconds. Information for people; nothing is ever ordered by it. */
export const Timestamp = Schema.String.annotate({ format: "date-time" })
