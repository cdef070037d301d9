import { Schema } from "effect"
import { ConversationId, Cursors, Seq, SessionId } from "./Ids.ts"
import { Ack, NewMessage } from "./Message.ts"
import { PresenceChange, PresenceList, PresenceSubscription } from "./Presence.ts"
import { Timestamp } from "./Time.ts"
import { Me } from "./User.ts"

/** The WebSocket subprotocol that the service and its client speak. */
export const subprotocol = "chat.v1.json"

/**
 * The reasons why the server closes a socket. After 4000–4499 clients reconnect with back-off and jitter; after 4500–4999
 * they do not, because connecting again would fail in the same way.
 */
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

/** Whether a close code means that connecting again is useless, also for codes of later releases. */
export const isFinal = (code: number): boolean => code >= 4500 && code < 5000

/** The most missed events that a hello replays, for each conversation and in total. Beyond them, clients fetch pages. */
export const replayLimit = { conversation: 200, hello: 2000 }

/**
 * The id that a client gives a command, and finds again in the answer: a text, or an integer that every JSON parser
 * reads exactly (at most 2^53 - 1).
 */
export const CommandId = Schema.Union([Schema.Int, Schema.String.check(Schema.isMaxLength(64))])
export type CommandId = typeof CommandId.Type

/**
 * A command from a client. The answer has the same `id`. A `traceparent` (W3C Trace Context) makes it part
 * of the client's trace.
 */
export const Command = Schema.Struct({
  id: CommandId,
  op: Schema.String.check(Schema.isMaxLength(64)),
  data: Schema.optionalKey(Schema.Unknown),
  traceparent: Schema.optionalKey(Schema.String)
})
export type Command = typeof Command.Type

/** The capability of clients that understand arrays of events and answers in one frame. */
export const batchCapability = "batch"

/**
 * The first command of a socket. A client that reconnects sends in `cursors` the last `seq` that it has of each
 * conversation (at most 5,000; others come as added), and the `epoch` of the answer that came with them. `caps` names
 * optional abilities of the client; unknown names are ignored.
 */
export const Hello = Schema.Struct({
  token: Schema.String,
  actAs: Schema.optionalKey(Schema.String).annotate({
    description:
      "The user as whom the program acts, if `token` is a service token: the id, or `ext:` and the external id"
  }),
  client: Schema.optionalKey(
    Schema.Struct({ name: Schema.optionalKey(Schema.String), version: Schema.optionalKey(Schema.String) })
  ),
  cursors: Schema.optionalKey(Cursors),
  userSeq: Schema.optionalKey(Seq),
  epoch: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(128))),
  caps: Schema.optionalKey(Schema.Array(Schema.String))
})
export type Hello = typeof Hello.Type

/**
 * The answer to hello: the socket is now authenticated. The server pings a client that has sent nothing for `heartbeatMs`
 * milliseconds. `epoch` names the log of the service: another one than before means that the log was replaced, by a
 * restore or a failover.
 */
export const Welcome = Schema.Struct({
  connectionId: Schema.String,
  sessionId: SessionId,
  user: Me,
  serverTime: Timestamp,
  heartbeatMs: Schema.Int,
  tokenExpiresAt: Timestamp,
  userSeq: Seq,
  epoch: Schema.optionalKey(Schema.String),
  limits: Schema.Struct({
    frameBytes: Schema.Int,
    commandsPerSecond: Schema.Finite,
    commandsBurst: Schema.Int,
    commandsInFlight: Schema.Int,
    messageLength: Schema.Int
  })
}).annotate({ identifier: "Welcome" })
export type Welcome = typeof Welcome.Type

const Nothing = Schema.Struct({})

/** The commands that only sockets have, or that sockets answer differently: their `data`, and the `ok` of the answer. */
export const socketCommands = {
  hello: { data: Hello, ok: Welcome },
  "auth.token": { data: Schema.Struct({ token: Schema.String }), ok: Schema.Struct({ tokenExpiresAt: Timestamp }) },
  ping: { data: Nothing, ok: Nothing },
  "message.send": { data: Schema.Struct({ conversationId: ConversationId, ...NewMessage.fields }), ok: Ack },
  "presence.set": { data: PresenceChange, ok: Nothing },
  "presence.subscribe": { data: PresenceSubscription, ok: PresenceList },
  "presence.unsubscribe": { data: PresenceSubscription, ok: Nothing }
} as const
export type SocketCommands = typeof socketCommands
