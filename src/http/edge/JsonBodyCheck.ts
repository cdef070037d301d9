import { isUtf8 } from "node:buffer"
import { Effect, Layer } from "effect"
import { HttpServerRequest } from "effect/http"
import { deeperThan, moreFieldsThan } from "../../domain/Json.ts"
import { InvalidRequest, RateLimited, TooLarge, UnsupportedMediaType } from "../../domain/Problem.ts"
import { JsonBody } from "../../operations/Callers.ts"
import { AddressLimit } from "../../services/platform/load/AddressLimit.ts"
import { FairQueue } from "../../services/platform/load/FairQueue.ts"
import { limitHits } from "../../services/platform/MetricDefinitions.ts"
import { Metrics } from "../../services/platform/Metrics.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { CurrentRequest } from "./CurrentRequest.ts"
import { smallBody } from "./LargeBody.ts"

const bad = (message: string) => new InvalidRequest({ detail: `the body ${message}`, errors: [{ path: "", message }] })

type Checked = Effect.Effect<
  void,
  InvalidRequest | RateLimited | TooLarge | UnsupportedMediaType,
  HttpServerRequest.HttpServerRequest
>

/** Makes the check that the address of a request may send so many bytes now, which counts them. */
const makeSizeCheck = Effect.gen(function* () {
  const addresses = yield* AddressLimit
  const limited = (yield* Metrics).counter(limitHits, { limit: "body-bytes" })
  return (bytes: number) =>
    Effect.flatMap(CurrentRequest, ({ address }) => {
      const retryAfterMs = addresses.read(address, bytes)
      if (retryAfterMs === 0) return Effect.void
      limited()
      return Effect.fail(new RateLimited({ retryAfterMs, detail: "Too many large bodies from this address" }))
    })
})

/** One turn of the event loop, in which all others are served that have something to do. */
const aTurn = Effect.callback<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

/**
 * Makes the wait for the turn of a large body: one is parsed in each turn of the event loop, and the addresses take turns. So
 * many that arrive together delay everybody else by one of them at a time.
 */
const makeBodyTurns = () => {
  // None is refused here: how many there are is bounded by what an address may send.
  const turns = new FairQueue({ atATime: 1, atATimePerKey: 1, detail: "" })
  return (bytes: number) =>
    bytes <= smallBody ? Effect.void : Effect.flatMap(CurrentRequest, ({ address }) => turns.patient(address, aTurn))
}

/**
 * How many bodies of unknown length are read of an address at a time, and how many wait. Each may become as large as is
 * allowed, however slowly it comes, and is not counted before it is there.
 */
const undeclared = { atATimePerKey: 8, waitingPerKey: 64 }

/** Makes the function that reads a body of unknown length in its turn. */
const makeReadingTurns = () => {
  const turns = new FairQueue({ ...undeclared, detail: "Too many bodies without a length from this address" })
  return (read: Effect.Effect<ArrayBuffer, InvalidRequest | TooLarge>) =>
    Effect.flatMap(CurrentRequest, ({ address }) =>
      // The addresses have no bound together, so the queue is never full.
      Effect.catchTag(turns.run(address, read), "Unavailable", Effect.die)
    )
}

/**
 * Reads a body up to the allowed size, and lets only bodies pass that are safe to parse. A large one is counted for its
 * address, before it is read if its length is known, and else before it is parsed. `types` matches the content
 * types that the body may declare, and `expected` names them in the problem.
 */
export const makeBodyCheck = Effect.fnUntraced(function* (types: RegExp, expected: string) {
  const { jsonDepth, jsonKeys, requestBytes } = (yield* Settings).limits
  const checkSize = yield* makeSizeCheck
  const turnOf = makeBodyTurns()
  const inTurn = makeReadingTurns()
  const tooLarge = Effect.fail(new TooLarge({ detail: `the body must have at most ${requestBytes} bytes` }))
  const tooDeep = Effect.fail(bad(`must not nest deeper than ${jsonDepth} levels`))
  const tooManyFields = Effect.fail(bad(`must have at most ${jsonKeys} fields`))
  const notUtf8 = Effect.fail(bad("must be UTF-8"))

  return Effect.flatMap(HttpServerRequest.HttpServerRequest, (request): Checked => {
    const { "content-encoding": encoding, "content-length": length, "content-type": type } = request.headers
    if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
      return Effect.fail(new UnsupportedMediaType({ detail: "the body must not be compressed" }))
    }
    // A body that is not declared is taken for JSON.
    if (!types.test(type ?? "application/json")) {
      return Effect.fail(new UnsupportedMediaType({ detail: `the content type must be ${expected}` }))
    }
    // A client that waits for "100 Continue" has not sent the body yet, so its size is checked before it is read.
    if (Number(length) > requestBytes) return tooLarge
    const read = request.arrayBuffer.pipe(
      Effect.catch(
        ({ reason }): Effect.Effect<never, InvalidRequest | TooLarge> =>
          reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"
            ? tooLarge
            : Effect.fail(bad("could not be read"))
      )
    )
    const isDeclared = request.headers["transfer-encoding"] === undefined
    const counted = isDeclared
      ? Effect.andThen(length === undefined ? Effect.void : checkSize(Number(length)), read)
      : // At first hardly anything is counted: what this refuses is an address that has not paid for earlier bodies.
        Effect.tap(Effect.andThen(checkSize(smallBody + 1), inTurn(read)), ({ byteLength }) => checkSize(byteLength))
    return counted.pipe(
      Effect.tap(({ byteLength }) => turnOf(byteLength)),
      Effect.flatMap((body) => {
        const bytes = Buffer.from(body)
        if (!isUtf8(bytes)) return notUtf8
        // The checks look at ASCII characters only. They are the same in Latin-1, which is decoded faster.
        const text = bytes.toString("latin1")
        if (deeperThan(text, jsonDepth)) return tooDeep
        return moreFieldsThan(text, jsonKeys) ? tooManyFields : Effect.void
      })
    )
  })
})

const form = "application/x-www-form-urlencoded"

/**
 * Refuses a body that is too large, too deep, no UTF-8, compressed or not declared as JSON, before it is parsed. An endpoint
 * of OAuth takes a form in place of JSON.
 */
export const layer = Layer.effect(
  JsonBody,
  Effect.gen(function* () {
    const checkJson = yield* makeBodyCheck(/^application\/json\s*(;|$)/i, "application/json")
    const checkForm = yield* makeBodyCheck(/^application\/x-www-form-urlencoded\s*(;|$)/i, form)
    return JsonBody.of((httpEffect, { endpoint }) =>
      Effect.andThen(endpoint.payload.has(form) ? checkForm : checkJson, httpEffect)
    )
  })
)
