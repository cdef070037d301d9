import { Effect, Schema } from "effect"
import { type InvalidRequest, invalid } from "../domain/Problem.ts"

/** A list's limit is from 1 to the setting. */
export const checkLimit = (
  { limit }: { readonly limit: number },
  maximum: number
): Effect.Effect<void, InvalidRequest> =>
  limit >= 1 && limit <= maximum ? Effect.void : Effect.fail(invalid("limit", `must be from 1 to ${maximum}`))

/** A place in time of a cursor: milliseconds that both JavaScript and PostgreSQL have a date for. */
export const Millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8_640_000_000_000_000 }))

/** Turns a place in a list into an opaque cursor and back. What is not such a cursor is an `InvalidRequest`. */
export const cursorOf = <A>(place: Schema.Codec<A, unknown>) => {
  const codec = Schema.StringFromBase64Url.pipe(Schema.decodeTo(Schema.fromJsonString(place)))
  const decode = Schema.decodeEffect(codec)
  return {
    encode: Schema.encodeSync(codec),
    decode: (cursor: string): Effect.Effect<A, InvalidRequest> =>
      Effect.mapError(decode(cursor), () => invalid("cursor", "is not a cursor of this list"))
  }
}
