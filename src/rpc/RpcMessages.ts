import { Cause, Effect, Layer, Predicate, Result, Schema } from "effect"
import { type RpcMessage, RpcSerialization, RpcServer } from "effect/rpc"
import { decodeInput, invalidData } from "../domain/InvalidData.ts"
import { deeperThan, moreFieldsThan, moreItemsThan, parseJson, withoutByteOrderMark } from "../domain/Json.ts"
import { invalid, Problem } from "../domain/Problem.ts"
import { AllOperations } from "../operations/Operations.ts"
import { Settings } from "../services/platform/Settings.ts"

const Id = Schema.Union([Schema.String, Schema.Int])

/** What a client may send: the messages of Effect's RPC protocol. */
const ClientMessage = Schema.Union([
  Schema.Struct({
    _tag: Schema.Literal("Request"),
    id: Id,
    tag: Schema.String,
    payload: Schema.optionalKey(Schema.Unknown),
    headers: Schema.Array(Schema.Tuple([Schema.String, Schema.String])).pipe(
      Schema.withDecodingDefaultKey(Effect.succeed([]))
    ),
    isNotification: Schema.optionalKey(Schema.Literal(true)),
    discard: Schema.optionalKey(Schema.Literal(true)),
    traceId: Schema.optionalKey(Schema.String),
    spanId: Schema.optionalKey(Schema.String),
    sampled: Schema.optionalKey(Schema.Boolean)
  }),
  Schema.Struct({ _tag: Schema.Literals(["Ack", "Interrupt"]), requestId: Id }),
  Schema.Struct({ _tag: Schema.Literals(["Ping", "Eof"]) })
])
export type ClientMessage = typeof ClientMessage.Type
const decodeMessages = Schema.decodeUnknownSync(Schema.Array(ClientMessage))
const decodeFrame = Schema.decodeUnknownResult(Schema.Array(ClientMessage))

/**
 * How many messages a body or a frame may have. Those of a body are all served at once, and their answers are held in memory
 * until read.
 */
const maxMessages = 16

/** How many headers a message may have. To decode one costs a hundred times as much as its bytes. */
const maxHeaders = 64

const hasManyHeaders = (message: unknown): boolean =>
  Predicate.hasProperty(message, "headers") && Array.isArray(message.headers) && message.headers.length > maxHeaders

/** Checks a body. It must be complete by itself, because nothing can follow it. */
const checkBody = (messages: ReadonlyArray<ClientMessage>) => {
  if (messages.length > maxMessages) throw new RangeError(`a body has at most ${maxMessages} messages`)
  const ids = messages.flatMap((message) =>
    message._tag === "Request" && message.isNotification !== true ? [String(message.id)] : []
  )
  if (new Set(ids).size < ids.length) throw new RangeError("each request of a body has an id of its own")
  if (messages.slice(0, -1).some(({ _tag }) => _tag === "Eof")) throw new RangeError("Eof is the last message")
  // The server adds Eof itself, and would take a second one for a client that continues after its end.
  return messages.filter(({ _tag }) => _tag !== "Eof")
}

/** One JSON object per line. Messages that the protocol does not have are answered with a defect of the protocol. */
export const layerNdjson = Layer.effect(
  RpcSerialization.RpcSerialization,
  Effect.map(Settings, ({ limits: { jsonDepth } }) =>
    RpcSerialization.RpcSerialization.of({
      ...RpcSerialization.ndjson,
      makeUnsafe: () => {
        const parser = RpcSerialization.ndjson.makeUnsafe()
        return {
          encode: parser.encode,
          decode: (data) => {
            const text = withoutByteOrderMark(typeof data === "string" ? data : Buffer.from(data).toString())
            if (deeperThan(text, jsonDepth)) throw new RangeError(`must not nest deeper than ${jsonDepth} levels`)
            // The last line needs no line break.
            const messages = [...parser.decode(text), ...parser.decode("\n")]
            if (messages.some(hasManyHeaders)) throw new RangeError(`a message has at most ${maxHeaders} headers`)
            return checkBody(decodeMessages(messages))
          }
        }
      }
    })
  )
)

/**
 * Makes the function that reads the messages of a frame of a socket, one JSON object or an array of them, or says why they
 * are none. What is not of the protocol costs little more than reading its bytes.
 */
export const makeReadFrame = Effect.map(
  Settings,
  ({ limits: { jsonDepth, jsonKeys } }) =>
    (frame: string): ReadonlyArray<ClientMessage> | string => {
      const text = withoutByteOrderMark(frame)
      if (moreItemsThan(text, maxMessages)) return `more than ${maxMessages} messages in a frame`
      if (deeperThan(text, jsonDepth)) return "nested too deep"
      if (moreFieldsThan(text, jsonKeys)) return "too many fields"
      const json = parseJson(text)
      const messages = Array.isArray(json) ? json : [json]
      if (messages.some(hasManyHeaders)) return `more than ${maxHeaders} headers`
      const decoded = decodeFrame(messages)
      return Result.isSuccess(decoded) && messages.length > 0 ? decoded.success : "not a message"
    }
)

const encodeProblem = Schema.encodeSync(Problem)

/** The answer to a call that failed with a problem. */
export const failed = (requestId: string | number, problem: Problem): RpcMessage.FromServerEncoded => ({
  _tag: "Exit",
  requestId,
  exit: { _tag: "Failure", cause: [{ _tag: "Fail", error: encodeProblem(problem) }] }
})

/** The operations without data. No payload, null and `{}` mean the same, as for commands of `/v1/ws`. */
const withoutData = new Set(
  [...AllOperations.requests.values()].flatMap(
    (rpc): ReadonlyArray<string> => (rpc.payloadSchema.ast._tag === "Void" ? [rpc._tag] : [])
  )
)
const isEmpty = (payload: unknown) =>
  typeof payload === "object" && payload !== null && !Array.isArray(payload) && Object.keys(payload).length === 0

const payloads = new Map(
  [...AllOperations.requests.values()].map((rpc) => [
    rpc._tag as string,
    decodeInput(Schema.toCodecJson(rpc.payloadSchema))
  ])
)

const unknownOperation = invalid("tag", "must be the name of an operation")

/**
 * Answers an unknown operation, and a payload that does not fit its Schema, with `InvalidRequest`, where Effect's server
 * would answer a defect.
 */
export const withInvalidRequests = (protocol: RpcServer.Protocol["Service"]) =>
  RpcServer.Protocol.of({
    ...protocol,
    run: (serve) =>
      protocol.run((clientId, message) => {
        if (message._tag !== "Request" || message.isNotification === true) return serve(clientId, message)
        if (withoutData.has(message.tag) && (message.payload === undefined || isEmpty(message.payload)))
          return serve(clientId, { ...message, payload: null })
        const decode = payloads.get(message.tag)
        const payload = decode?.(message.payload)
        if (payload !== undefined && Result.isSuccess(payload)) return serve(clientId, message)
        const problem = payload === undefined ? unknownOperation : invalidData(payload.failure)
        return protocol.send(clientId, failed(message.id, problem))
      })
  })

const idInUse = {
  name: "RangeError",
  message: "a call with that id is in flight, Eof was said, or the node is stopping"
}

/** Answers a client that uses an id for two calls at the same time, where Effect's server would not answer at all. */
export const withIdsOnce = (protocol: RpcServer.Protocol["Service"]) =>
  RpcServer.Protocol.of({
    ...protocol,
    run: (serve) =>
      protocol.run((clientId, message) =>
        Effect.catchCause(serve(clientId, message), (cause) =>
          Cause.hasInterruptsOnly(cause)
            ? protocol.send(clientId, { _tag: "Defect", defect: idInUse })
            : Effect.failCause(cause)
        )
      )
  })
