import { Schema } from "effect"
import { Seq } from "../domain/Ids.ts"

/** Why the server closes a socket. 4000–4499: reconnect with back-off and jitter; 4500–4999: do not. */
export const CloseCode = {
  internal: 4000,
  helloTimeout: 4001,
  heartbeatTimeout: 4002,
  slowConsumer: 4003,
  tokenExpired: 4004,
  draining: 4005,
  rateLimited: 4006,
  badFrame: 4500,
  unsupportedVersion: 4501,
  unauthenticated: 4502,
  sessionRevoked: 4503,
  accountDisabled: 4504,
  tooManyConnections: 4505,
  frameTooLarge: 4506
} as const
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode]

export const subprotocol = "chat.v1.json"

/** At most this many missed events are replayed for one conversation, and for all of them at one hello. */
export const replayLimit = { conversation: 200, hello: 2000 }

/**
 * What every client frame is: a command, answered under the same `id`. A `traceparent` (W3C Trace Context) makes it part
 * of the client's trace.
 */
export const Command = Schema.Struct({
  id: Schema.Union([Schema.Finite, Schema.String.check(Schema.isMaxLength(64))]),
  op: Schema.String.check(Schema.isMaxLength(64)),
  data: Schema.optionalKey(Schema.Unknown),
  traceparent: Schema.optionalKey(Schema.String)
})
export type Command = typeof Command.Type

/** One object a frame, or an array of them. */
export const ClientFrame = Schema.Union([Command, Schema.Array(Command).check(Schema.isMinLength(1))])

/** The first command. `cursors`, when present, names the last `seq` the client has of each conversation. */
export const Hello = Schema.Struct({
  token: Schema.String,
  client: Schema.optionalKey(
    Schema.Struct({ name: Schema.optionalKey(Schema.String), version: Schema.optionalKey(Schema.String) })
  ),
  cursors: Schema.optionalKey(Schema.Record(Schema.String, Seq)),
  userSeq: Schema.optionalKey(Seq),
  caps: Schema.optionalKey(Schema.Array(Schema.String))
})
export type Hello = typeof Hello.Type

/**
 * A whole unmasked text frame (RFC 6455 §5.2) in one buffer, so that the same bytes can be written to any number of
 * sockets.
 */
export const encodeFrame = (text: string): Buffer => {
  const length = Buffer.byteLength(text)
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const frame = Buffer.allocUnsafe(header + length)
  frame[0] = 0x81
  if (header === 2) {
    frame[1] = length
  } else if (header === 4) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeBigUInt64BE(BigInt(length), 2)
  }
  frame.write(text, header)
  return frame
}

export const encodeJson = (value: unknown) => encodeFrame(JSON.stringify(value))
