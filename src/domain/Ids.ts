import { Schema, SchemaGetter } from "effect"

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Whether a text is a UUID in its canonical form, with lower-case letters. */
export const isUuid = (text: string): boolean => uuid.test(text)

const nil = "00000000-0000-0000-0000-000000000000"

// The nil UUID is the id of no row, so it is free to stand for other things. Each of its three meanings has a name of its
// own here, and no code may use one in place of another: `unknownId` never reaches a list of mentions, because mentions
// are looked up by username, and `beforeEveryId` is never looked up at all.

/** Stands for an id that cannot exist, because the text that a client sent is not a UUID. */
const unknownId = nil

/** Lies before every id in the order of ids: a scan over all rows starts after it. */
export const beforeEveryId = nil

/**
 * An id that a client sends. Ids are opaque to clients, so a text that is not a UUID is treated as an id that does not
 * exist: it becomes `unknownId`, and the answer is the same "not found" as for every other unknown id.
 */
const clientId = Schema.String.pipe(
  Schema.decode({
    decode: SchemaGetter.transform((text: string) => {
      const id = text.toLowerCase()
      return isUuid(id) ? id : unknownId
    }),
    encode: SchemaGetter.passthrough()
  })
)

/** The id of a user. */
export const UserId = clientId.pipe(Schema.brand("UserId"))
export type UserId = typeof UserId.Type

/** Stands for all members in the list of users that a message mentions. */
export const everybody = UserId.make(nil)

/** The id of a session. */
export const SessionId = clientId.pipe(Schema.brand("SessionId"))
export type SessionId = typeof SessionId.Type

/** The id of a conversation. */
export const ConversationId = clientId.pipe(Schema.brand("ConversationId"))
export type ConversationId = typeof ConversationId.Type

/** The id of a message. */
export const MessageId = clientId.pipe(Schema.brand("MessageId"))
export type MessageId = typeof MessageId.Type

/** The id of a scheduled message. Once it is sent, it is also the `clientMessageId` of the message. */
export const ScheduledMessageId = clientId.pipe(Schema.brand("ScheduledMessageId"))
export type ScheduledMessageId = typeof ScheduledMessageId.Type

/** The id of an attachment. */
export const AttachmentId = clientId.pipe(Schema.brand("AttachmentId"))
export type AttachmentId = typeof AttachmentId.Type

/** The id of a service token. */
export const ServiceTokenId = clientId.pipe(Schema.brand("ServiceTokenId"))
export type ServiceTokenId = typeof ServiceTokenId.Type

/**
 * The sender chooses this id: 1 to 128 visible ASCII characters, unique for each sender in each conversation. It is kept
 * for as long as the message, so repeating a send with it is always safe.
 */
export const ClientMessageId = Schema.String.check(
  Schema.isMinLength(1),
  Schema.isMaxLength(128),
  Schema.isPattern(/^[\x21-\x7e]+$/, { message: "must be 1 to 128 visible ASCII characters" })
).pipe(Schema.brand("ClientMessageId"))
export type ClientMessageId = typeof ClientMessageId.Type

/** The code in an invite's link. A text of another form becomes the empty code, which no invite has. */
export const InviteCode = Schema.String.pipe(
  Schema.decode({
    decode: SchemaGetter.transform((text: string) => (/^[\w-]{1,64}$/.test(text) ? text : "")),
    encode: SchemaGetter.passthrough()
  }),
  Schema.brand("InviteCode")
)
export type InviteCode = typeof InviteCode.Type

/**
 * A position in a conversation's log. The event that creates the conversation has 1, and each later event has the next
 * number, without gaps. A cursor of 0 means that nothing has been seen.
 */
export const Seq = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

/** Of how many conversations a client may say what it has. */
export const maxCursors = 5000

/** The last `seq` that a client has of each conversation, by the ids of at most 5,000 conversations. */
export const Cursors = Schema.Record(Schema.String, Seq).check(Schema.isMaxProperties(maxCursors))
