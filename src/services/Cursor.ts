import { Effect, Schema } from "effect"
import { type InvalidRequest, invalid } from "../domain/Problem.ts"

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
