import { Schema } from "effect"
import { Conversation, HistoryForNewMembers, Kind, Membership, Role } from "./Conversation.ts"
import { Draft } from "./Draft.ts"
import { ConversationId, MessageId, Seq, Timestamp, UserId } from "./Ids.ts"
import { Message } from "./Message.ts"
import { Presence } from "./Presence.ts"
import { User } from "./User.ts"

/** All that is left of an event about a message which lies before what the receiver may see. */
export const HiddenMessage = Schema.Struct({ messageId: MessageId, messageSeq: Seq }).annotate({
  identifier: "HiddenMessage"
})

/** The root of a reply's thread, with the resulting count; a hidden one is shown as a hidden `replyTo`. */
export const ThreadRoot = Schema.Union([
  Schema.Struct({ messageId: MessageId, seq: Seq, threadReplyCount: Schema.Int }),
  Schema.Struct({
    messageId: MessageId,
    seq: Seq,
    senderId: Schema.Null,
    excerpt: Schema.Literal(""),
    deleted: Schema.Literal(false),
    hidden: Schema.Literal(true)
  })
]).annotate({ identifier: "ThreadRoot" })
export type ThreadRoot = typeof ThreadRoot.Type

const about = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.Union([Schema.Struct({ ...HiddenMessage.fields, ...fields }), HiddenMessage])

/** `count` is how many users have that reaction now. */
const reaction = about({ emoji: Schema.String, userId: UserId, count: Schema.Int })

/** The durable events: each has a place in its conversation's log. */
const data = {
  "conversation.created": Schema.Struct({
    kind: Kind,
    title: Schema.NullOr(Schema.String),
    memberCount: Schema.Int
  }),
  "conversation.updated": Schema.Struct({
    title: Schema.optionalKey(Schema.NullOr(Schema.String)),
    avatarUrl: Schema.optionalKey(Schema.NullOr(Schema.String)),
    historyForNewMembers: Schema.optionalKey(HistoryForNewMembers),
    messageLifetimeSeconds: Schema.optionalKey(Schema.NullOr(Schema.Int))
  }),
  "message.created": Schema.Struct({ message: Message, threadRoot: Schema.optionalKey(ThreadRoot) }),
  "message.edited": Schema.Union([Schema.Struct({ message: Message }), HiddenMessage]),
  "message.deleted": HiddenMessage,
  "reaction.added": reaction,
  "reaction.removed": reaction,
  "message.pinned": HiddenMessage,
  "message.unpinned": HiddenMessage,
  /** `votes`: how many have voted for each option now, in the order of the options. */
  "poll.voted": about({ votes: Schema.Array(Schema.Int) }),
  "member.joined": Schema.Struct({ user: User, role: Role }),
  "member.left": Schema.Struct({ userId: UserId, removed: Schema.Boolean }),
  "member.role-changed": Schema.Struct({ userId: UserId, role: Role })
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

export const Event = Schema.Union([
  durable("conversation.created"),
  durable("conversation.updated"),
  durable("message.created"),
  durable("message.edited"),
  durable("message.deleted"),
  durable("reaction.added"),
  durable("reaction.removed"),
  durable("message.pinned"),
  durable("message.unpinned"),
  durable("poll.voted"),
  durable("member.joined"),
  durable("member.left"),
  durable("member.role-changed")
])
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
  ephemeral("draft.updated", { draft: Schema.NullOr(Draft) }),
  ephemeral("conversation.reset", { seq: Seq }),
  ephemeral("conversation.dirty", { seq: Seq }),
  ephemeral("session.expiring", { expiresAt: Timestamp }),
  ephemeral("reconnect", { afterMs: Schema.Int })
])
export type Ephemeral = typeof Ephemeral.Type
