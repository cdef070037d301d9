import { isUtf8 } from "node:buffer"
import { Effect, Layer } from "effect"
import { HttpServerRequest } from "effect/http"
import { deeperThan } from "../domain/Json.ts"
import { InvalidRequest, TooLarge, UnsupportedMediaType } from "../domain/Problem.ts"
import { Settings } from "../services/Settings.ts"
import { JsonBody } from "./Middleware.ts"

const bad = (message: string) => new InvalidRequest({ detail: `the body ${message}`, errors: [{ path: "", message }] })

type Checked = Effect.Effect<
  void,
  InvalidRequest | TooLarge | UnsupportedMediaType,
  HttpServerRequest.HttpServerRequest
>

/**
 * Reads no more of a body than is allowed; what comes after it sees only bodies that are safe to parse. `types` are the
 * content types that it may say it has.
 */
export const makeBodyCheck = Effect.fnUntraced(function* (types: RegExp, expected: string) {
  const { jsonDepth, requestBytes } = (yield* Settings).limits
  const tooLarge = Effect.fail(new TooLarge({ detail: `the body must have at most ${requestBytes} bytes` }))
  const tooDeep = Effect.fail(bad(`must not nest deeper than ${jsonDepth} levels`))
  const notUtf8 = Effect.fail(bad("must be UTF-8"))

  return Effect.flatMap(HttpServerRequest.HttpServerRequest, (request): Checked => {
    const { "content-encoding": encoding, "content-length": length, "content-type": type } = request.headers
    if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
      return Effect.fail(new UnsupportedMediaType({ detail: "the body must not be compressed" }))
    }
    if (type !== undefined && !types.test(type)) {
      return Effect.fail(new UnsupportedMediaType({ detail: `the content type must be ${expected}` }))
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
        const bytes = Buffer.from(body)
        if (!isUtf8(bytes)) return notUtf8
        // All that matters to it is ASCII, and so the same in Latin-1, which is quicker to read.
        return deeperThan(bytes.toString("latin1"), jsonDepth) ? tooDeep : Effect.void
      })
    )
  })
})

export const layer = Layer.effect(
  JsonBody,
  Effect.map(
    makeBodyCheck(/^application\/json\s*(;|$)/i, "application/json"),
    (check) => (httpEffect) => Effect.andThen(check, httpEffect)
  )
)
