import { Schema, SchemaGetter } from "effect"

/** A time in an answer or an event: ISO 8601 in UTC with milliseconds. It informs people; nothing is ordered by it. */
export const Timestamp = Schema.String.annotate({ format: "date-time" })

/** The start of the year 10,000, in milliseconds since 1970. */
const endOfTime = 253_402_300_800_000

/** Whether a month has the day that a text begins with: JavaScript reads 30 February as 2 March. */
const isDay = (text: string) => {
  const [year = 0, month = 0, day = 0] = text.slice(0, 10).split("-").map(Number)
  return new Date(Date.UTC(year, month - 1, day)).getUTCDate() === day
}

/**
 * A time that a client sends: ISO 8601 with an offset or `Z`, from 1970 to 9999; seconds and fractions are optional. A day,
 * an hour or an offset that does not exist is refused.
 */
export const OffsetTimestamp = Schema.String.check(
  Schema.isPattern(
    /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/,
    { message: "must be a time such as 2030-01-31T12:00:00.000Z" }
  ).abort(),
  Schema.makeFilter((text: string) => {
    const at = Date.parse(text)
    if (!(at >= 0 && at < endOfTime)) return "must be a time from 1970 to 9999"
    return isDay(text) ? undefined : "must be a day that exists"
  })
).annotate({ format: "date-time" })

/** An `OffsetTimestamp` that is decoded to a `Date`. */
export const DateFromTimestamp = OffsetTimestamp.pipe(Schema.decodeTo(Schema.DateFromString))

const isUtc = /:\d\d:\d\d(\.\d{1,3})?Z$/

/**
 * An `OffsetTimestamp` that is stored as text: decoding turns it into UTC with at most milliseconds, which JavaScript and
 * PostgreSQL read alike. A text that has this form already stays as it is.
 */
export const UtcTimestamp = OffsetTimestamp.pipe(
  Schema.decode({
    decode: SchemaGetter.transform((text: string) => (isUtc.test(text) ? text : new Date(text).toISOString())),
    encode: SchemaGetter.passthrough()
  })
)
