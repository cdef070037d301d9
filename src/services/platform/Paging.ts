import { Effect, Schema } from "effect"
import type { Page } from "../../domain/Page.ts"
import { type InvalidRequest, invalid } from "../../domain/Problem.ts"

/** Fails with `InvalidRequest` unless the limit of a list is from 1 to `maximum`. */
export const checkLimit = (
  { limit }: { readonly limit: number },
  maximum: number
): Effect.Effect<void, InvalidRequest> =>
  limit >= 1 && limit <= maximum ? Effect.void : Effect.fail(invalid("limit", `must be from 1 to ${maximum}`))

/** A time in a cursor: milliseconds that both JavaScript and PostgreSQL have a date for. */
export const Millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8_640_000_000_000_000 }))

/** A number in a cursor, such as the place of a row in its table. */
export const Place = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

/**
 * Turns a position in a list into an opaque cursor and back. Any other text than such a cursor is an `InvalidRequest`.
 */
export const cursorOf = <A>(place: Schema.Codec<A, unknown>) => {
  const codec = Schema.StringFromBase64Url.pipe(Schema.decodeTo(Schema.fromJsonString(place)))
  const decode = Schema.decodeEffect(codec)
  return {
    encode: Schema.encodeSync(codec),
    decode: (cursor: string): Effect.Effect<A, InvalidRequest> =>
      Effect.mapError(decode(cursor), () => invalid("cursor", "is not a cursor of this list"))
  }
}

/** A page of `items`, whose rows were read with one more than the limit to see whether there is a next page. */
export const pageOf = <Row, A>(
  rows: ReadonlyArray<Row>,
  limit: number,
  items: ReadonlyArray<A>,
  cursorAt: (last: Row) => string
): Page<A> => {
  const last = rows.length > limit ? rows[limit - 1] : undefined
  return last === undefined ? { items } : { items, nextCursor: cursorAt(last) }
}
