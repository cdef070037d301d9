import { Schema } from "effect"
import { ConversationId, Seq, SessionId, Timestamp } from "../domain/Ids.ts"
import { Ack, NewMessage } from "../domain/Message.ts"
import { PresenceChange, PresenceList, PresenceSubscription } from "../domain/Presence.ts"
import { Me } from "../domain/User.ts"
import { Hello } from "./Protocol.ts"

/** The answer to hello: from now on the socket is served. `heartbeatMs`: after so long a silence the server pings. */
export const Welcome = Schema.Struct({
  connectionId: Schema.String,
  sessionId: SessionId,
  user: Me,
  serverTime: Timestamp,
  heartbeatMs: Schema.Int,
  tokenExpiresAt: Timestamp,
  userSeq: Seq,
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

/** The commands that only sockets have, or that they answer in their own way: the data, and the `ok` of the answer. */
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
