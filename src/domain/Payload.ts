import { Schema } from "effect"
import { UserId } from "./Ids.ts"
import { Text, Url } from "./Text.ts"
import { Email } from "./User.ts"

const line = (max: number) =>
  Text.check(Schema.isMaxLength(max), Schema.isPattern(/\S/u, { message: "must not be empty" }))

const within = (minimum: number, maximum: number) => Schema.Finite.check(Schema.isBetween({ minimum, maximum }))

/** A moment that both JavaScript and PostgreSQL know: ISO 8601 in UTC. */
const Moment = Schema.String.check(
  Schema.makeFilter((text: string) => {
    const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/.test(text) ? Date.parse(text) : Number.NaN
    return !Number.isNaN(time) && new Date(time).toISOString().slice(0, 19) === text.slice(0, 19)
      ? undefined
      : "must be a time in UTC such as 2026-01-31T12:00:00Z"
  })
).annotate({ format: "date-time" })

export const Location = Schema.Struct({
  latitude: within(-90, 90),
  longitude: within(-180, 180),
  name: Schema.optionalKey(line(200))
}).annotate({ identifier: "Location" })

export const Contact = Schema.Struct({
  name: line(200),
  phones: Schema.Array(line(64)).check(Schema.isMaxLength(20)),
  emails: Schema.Array(Email).check(Schema.isMaxLength(20)),
  userId: Schema.optionalKey(UserId)
}).annotate({ identifier: "Contact" })

export const Sticker = Schema.Struct({
  pack: line(100),
  id: line(100),
  emoji: Schema.optionalKey(line(40)),
  url: Schema.optionalKey(Url)
}).annotate({ identifier: "Sticker" })

/** `multiple`: one may choose several options. After `closesAt` nobody votes any more. */
export const Poll = Schema.Struct({
  question: line(300),
  options: Schema.Array(line(100)).check(Schema.isMinLength(2), Schema.isMaxLength(20)),
  multiple: Schema.optionalKey(Schema.Boolean),
  closesAt: Schema.optionalKey(Moment)
}).annotate({ identifier: "Poll" })

/** What a message of another type than text holds, given back as it was sent. */
export const Payload = Schema.Union([Location, Contact, Sticker, Poll])
export type Payload = typeof Payload.Type

const isPayload = {
  location: Schema.is(Location),
  contact: Schema.is(Contact),
  sticker: Schema.is(Sticker),
  poll: Schema.is(Poll)
}

/** Types whose messages have a payload. */
export const hasPayload = (type: string): type is keyof typeof isPayload => type in isPayload

/** Whether a payload is that of a type which has one. */
export const isPayloadOf = (type: keyof typeof isPayload, payload: Payload): boolean => isPayload[type](payload)

/** The options that I choose, by their places in the poll from 0 on. */
export const Vote = Schema.Struct({
  options: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 19 }))).check(
    Schema.isMinLength(1),
    Schema.isMaxLength(20)
  )
}).annotate({ identifier: "Vote" })
