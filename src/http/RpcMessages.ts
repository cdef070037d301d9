import { Cause, Effect, Layer, Result, Schema } from "effect"
import { RpcSerialization, RpcServer } from "effect/rpc"
import { deeperThan } from "../domain/Json.ts"
import { invalidData, Problem } from "../domain/Problem.ts"
import { AllOperations } from "../rpc/Operations.ts"
import { Settings } from "../services/Settings.ts"

const Id = Schema.Union([Schema.String, Schema.Finite])

/** What a client may say: the messages of Effect's RPC protocol. */
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
const decodeMessages = Schema.decodeUnknownSync(Schema.Array(ClientMessage))

/** How many messages a body may have: all are answered at once, and what waits to be read is held in memory. */
const maxMessages = 16

/** A body is all that its client says: nothing may come later that would make sense of it. */
const checkBody = (messages: ReadonlyArray<typeof ClientMessage.Type>) => {
  if (messages.length > maxMessages) throw new RangeError(`a body has at most ${maxMessages} messages`)
  const ids = messages.flatMap((message) =>
    message._tag === "Request" && message.isNotification !== true ? [String(message.id)] : []
  )
  if (new Set(ids).size < ids.length) throw new RangeError("each request of a body has an id of its own")
  if (messages.slice(0, -1).some(({ _tag }) => _tag === "Eof")) throw new RangeError("Eof is the last message")
  // The server says it by itself, and would take a second one for a client that goes on after its end.
  return messages.filter(({ _tag }) => _tag !== "Eof")
}

/** The serialization, but for what no client of ours says: that is answered with a defect of the protocol. */
const strict = (inner: RpcSerialization.RpcSerialization["Service"], jsonDepth: number) =>
  RpcSerialization.RpcSerialization.of({
    ...inner,
    makeUnsafe: () => {
      const parser = inner.makeUnsafe()
      return {
        encode: parser.encode,
        decode: (data) => {
          const text = typeof data === "string" ? data : Buffer.from(data).toString("latin1")
          if (deeperThan(text, jsonDepth)) throw new RangeError(`must not nest deeper than ${jsonDepth} levels`)
          if (!inner.includesFraming) return decodeMessages(parser.decode(data))
          // The last line needs no end.
          return checkBody(decodeMessages([...parser.decode(data), ...parser.decode("\n")]))
        }
      }
    }
  })

const layerOf = (inner: RpcSerialization.RpcSerialization["Service"]) =>
  Layer.effect(
    RpcSerialization.RpcSerialization,
    Effect.map(Settings, ({ limits }) => strict(inner, limits.jsonDepth))
  )

/** One JSON object a line. */
export const layerNdjson = layerOf(RpcSerialization.ndjson)

/** One JSON object, or an array of them, a frame. */
export const layerJson = layerOf(RpcSerialization.json)

const encodeProblem = Schema.encodeSync(Problem)

/** Those without data, for which nothing, null and `{}` all say so, as for commands of `/v1/ws`. */
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
    Schema.decodeUnknownResult(Schema.toCodecJson(rpc.payloadSchema))
  ])
)

/** Answers a payload that its Schema refuses with `InvalidRequest`, where Effect's server would tell a defect. */
export const withInvalidRequests = (protocol: RpcServer.Protocol["Service"]) =>
  RpcServer.Protocol.of({
    ...protocol,
    run: (serve) =>
      protocol.run((clientId, message) => {
        if (message._tag !== "Request" || message.isNotification === true) return serve(clientId, message)
        if (withoutData.has(message.tag) && (message.payload === undefined || isEmpty(message.payload)))
          return serve(clientId, { ...message, payload: null })
        const payload = payloads.get(message.tag)?.(message.payload)
        if (payload === undefined || Result.isSuccess(payload)) return serve(clientId, message)
        return protocol.send(clientId, {
          _tag: "Exit",
          requestId: message.id,
          exit: { _tag: "Failure", cause: [{ _tag: "Fail", error: encodeProblem(invalidData(payload.failure)) }] }
        })
      })
  })

const idInUse = {
  name: "RangeError",
  message: "a call with that id is in flight, Eof was said, or the node is stopping"
}

/** Tells a client that uses an id twice at a time, where Effect's server would leave it without a word. */
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
