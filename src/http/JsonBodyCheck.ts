import { isUtf8 } from "node:buffer"
import { Effect, Layer } from "effect"
import { HttpServerRequest } from "effect/http"
import { InvalidRequest, TooLarge, UnsupportedMediaType } from "../domain/Problem.ts"
import { Settings } from "../services/Settings.ts"
import { JsonBody } from "./Middleware.ts"

const quote = 0x22
const backslash = 0x5c
const arrayStart = 0x5b
const arrayEnd = 0x5d
const objectStart = 0x7b
const objectEnd = 0x7d

/** Whether JSON nests deeper than `limit`, told without parsing it. All bytes that matter are ASCII, also in UTF-8. */
export const isDeeper = (json: Uint8Array, limit: number) => {
  if (json.length <= limit) return false
  let depth = 0
  let inText = false
  for (let index = 0; index < json.length; index++) {
    const byte = json[index]
    if (inText) {
      if (byte === backslash) index++
      else if (byte === quote) inText = false
    } else if (byte === quote) inText = true
    else if (byte === arrayStart || byte === objectStart) {
      if (++depth > limit) return true
    } else if (byte === arrayEnd || byte === objectEnd) depth--
  }
  return false
}

const bad = (message: string) => new InvalidRequest({ detail: `the body ${message}`, errors: [{ path: "", message }] })

/** Reads no more of a body than is allowed; what comes after it sees only bodies that are safe to parse. */
export const layer = Layer.effect(
  JsonBody,
  Effect.gen(function* () {
    const { jsonDepth, requestBytes } = (yield* Settings).limits
    const tooLarge = Effect.fail(new TooLarge({ detail: `the body must have at most ${requestBytes} bytes` }))
    const tooDeep = Effect.fail(bad(`must not nest deeper than ${jsonDepth} levels`))
    const notUtf8 = Effect.fail(bad("must be UTF-8"))

    type Checked = Effect.Effect<void, InvalidRequest | TooLarge | UnsupportedMediaType>

    const check = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request): Checked => {
      const { "content-encoding": encoding, "content-length": length, "content-type": type } = request.headers
      if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
        return Effect.fail(new UnsupportedMediaType({ detail: "the body must not be compressed" }))
      }
      if (type !== undefined && !/^application\/json\s*(;|$)/i.test(type)) {
        return Effect.fail(new UnsupportedMediaType({ detail: "the content type must be application/json" }))
      }
      // Also here: a client that waits for "100 Continue" has not sent it yet.
      if (Number(length) > requestBytes) return tooLarge
      return request.arrayBuffer.pipe(
        Effect.catch(
          ({ reason }): Effect.Effect<never, InvalidRequest | TooLarge> =>
            reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"
              ? tooLarge
              : Effect.fail(bad("could not be read"))
        ),
        Effect.flatMap((body) => {
          const bytes = new Uint8Array(body)
          if (!isUtf8(bytes)) return notUtf8
          return isDeeper(bytes, jsonDepth) ? tooDeep : Effect.void
        })
      )
    })

    return (httpEffect) => Effect.andThen(check, httpEffect)
  })
)
