import { Schema } from "effect"
import { Conversation, Kind, Membership } from "./Conversation.ts"
import { ConversationId, Seq, Timestamp, UserId } from "./Ids.ts"
import { Message } from "./Message.ts"
import { Presence } from "./Presence.ts"

/** The durable events: each has a place in its conversation's log. Later features add theirs here. */
const data = {
  "conversation.created": Schema.Struct({
    kind: Kind,
    title: Schema.NullOr(Schema.String),
    memberCount: Schema.Int
  }),
  "message.created": Schema.Struct({ message: Message })
}

const durable = <const Name extends keyof typeof data>(event: Name) =>
  Schema.Struct({
    event: Schema.Literal(event),
    conversationId: ConversationId,
    seq: Seq,
    at: Timestamp,
    actorId: UserId,
    data: data[event]
  }).annotate({ identifier: event })

export const Event = Schema.Union([durable("conversation.created"), durable("message.created")])
export type Event = typeof Event.Type

/** A page of a conversation's log. `head` is its last `seq`: fetch on while the last item's `seq` is below it. */
export const EventPage = Schema.Struct({ items: Schema.Array(Event), head: Seq }).annotate({ identifier: "EventPage" })
export type EventPage = typeof EventPage.Type

const ephemeral = <const Name extends string, D extends Schema.Struct.Fields>(event: Name, fields: D) =>
  Schema.Struct({
    event: Schema.Literal(event),
    conversationId: Schema.optionalKey(ConversationId),
    data: Schema.Struct(fields)
  }).annotate({ identifier: event })

/** Events without a `seq`: lost ones are not repeated. */
export const Ephemeral = Schema.Union([
  ephemeral("typing.started", { userId: UserId }),
  ephemeral("typing.stopped", { userId: UserId }),
  ephemeral("read.marked", { userId: UserId, seq: Seq }),
  ephemeral("delivered.marked", { userId: UserId, seq: Seq }),
  ephemeral("presence.changed", Presence.fields),
  ephemeral("conversation.added", { conversation: Conversation }),
  ephemeral("conversation.removed", {}),
  ephemeral("conversation.settings", { me: Membership }),
  ephemeral("conversation.reset", { seq: Seq }),
  ephemeral("conversation.dirty", { seq: Seq }),
  ephemeral("session.expiring", { expiresAt: Timestamp }),
  ephemeral("reconnect", { afterMs: Schema.Int })
])
export type Ephemeral = typeof Ephemeral.Type
