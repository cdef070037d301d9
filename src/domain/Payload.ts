import { Schema } from "effect"
import { UserId } from "./Ids.ts"
import { Name, VisibleText } from "./Text.ts"
import { Timestamp, UtcTimestamp } from "./Time.ts"
import { Url } from "./Url.ts"
import { Email } from "./User.ts"

const within = (minimum: number, maximum: number) => Schema.Finite.check(Schema.isBetween({ minimum, maximum }))
const name = (max: number) => Name.check(Schema.isMaxLength(max))
const text = (max: number) => VisibleText.check(Schema.isMaxLength(max))

/** A place on earth, in degrees. */
const Location = Schema.Struct({
  latitude: Schema.Finite,
  longitude: Schema.Finite,
  name: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "Location" })

const NewLocation = Schema.Struct({
  latitude: within(-90, 90),
  longitude: within(-180, 180),
  name: Schema.optionalKey(name(200))
}).annotate({ identifier: "NewLocation" })

/** A person's contact details; `userId` if the person uses this service. */
const Contact = Schema.Struct({
  name: Schema.String,
  phones: Schema.Array(Schema.String),
  emails: Schema.Array(Schema.String),
  userId: Schema.optionalKey(UserId)
}).annotate({ identifier: "Contact" })

const NewContact = Schema.Struct({
  name: name(200),
  phones: Schema.Array(name(64)).check(Schema.isMaxLength(20)),
  emails: Schema.Array(Email).check(Schema.isMaxLength(20)),
  userId: Schema.optionalKey(UserId)
}).annotate({ identifier: "NewContact" })

/** A sticker of a pack. Clients that do not have the pack can show `url` or `emoji`. */
const Sticker = Schema.Struct({
  pack: Schema.String,
  id: Schema.String,
  emoji: Schema.optionalKey(Schema.String),
  url: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "Sticker" })

const NewSticker = Schema.Struct({
  pack: name(100),
  id: name(100),
  emoji: Schema.optionalKey(name(40)),
  url: Schema.optionalKey(Url)
}).annotate({ identifier: "NewSticker" })

/** A poll. If `multiple` is true, a vote may choose several options. Votes after `closesAt` are refused. */
const Poll = Schema.Struct({
  question: Schema.String,
  options: Schema.Array(Schema.String),
  multiple: Schema.optionalKey(Schema.Boolean),
  closesAt: Schema.optionalKey(Timestamp)
}).annotate({ identifier: "Poll" })

const NewPoll = Schema.Struct({
  question: text(300),
  options: Schema.Array(text(100)).check(Schema.isMinLength(2), Schema.isMaxLength(20)),
  multiple: Schema.optionalKey(Schema.Boolean),
  closesAt: Schema.optionalKey(UtcTimestamp)
}).annotate({ identifier: "NewPoll" })

/** The mark of a message of type `system` that does not count as unread. Clients show no notification for it. */
const Silent = Schema.Struct({ silent: Schema.Literal(true) }).annotate({ identifier: "Silent" })

/**
 * The structured content of a message of another type than text. It is returned as it was sent. A stored payload
 * is not checked again, so that a stricter rule for new messages keeps old messages readable.
 */
export const Payload = Schema.Union([Location, Contact, Sticker, Poll])
export type Payload = typeof Payload.Type

/** The payload of a message that was sent. */
export const SentPayload = Schema.Union([Payload, Silent])
export type SentPayload = typeof SentPayload.Type

/** A payload as a client sends it. */
export const NewPayload = Schema.Union([NewLocation, NewContact, NewSticker, NewPoll])

/** Whether a payload marks a message as silent. */
export const isSilent = (payload: SentPayload | null): payload is typeof Silent.Type =>
  payload !== null && "silent" in payload

const isPayload = {
  location: Schema.is(NewLocation),
  contact: Schema.is(NewContact),
  sticker: Schema.is(NewSticker),
  poll: Schema.is(NewPoll)
}

/** Whether messages of a type have a payload. */
export const hasPayload = (type: string): type is keyof typeof isPayload => type in isPayload

/** Whether a payload has the form that belongs to a type. */
export const isPayloadOf = (type: keyof typeof isPayload, payload: Payload): boolean => isPayload[type](payload)

/** The options that I choose, by their index in the poll, which starts at 0. */
export const Vote = Schema.Struct({
  options: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 19 }))).check(
    Schema.isMinLength(1),
    Schema.isMaxLength(20)
  )
}).annotate({ identifier: "Vote" })
