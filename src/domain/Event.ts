import { Schema } from "effect"
import { Conversation, HistoryForNewMembers, Kind, Membership, Role } from "./Conversation.ts"
import { Draft } from "./Draft.ts"
import { ConversationId, MessageId, Seq, UserId } from "./Ids.ts"
import { Message } from "./Message.ts"
import { Presence } from "./Presence.ts"
import { Timestamp } from "./Time.ts"
import { User } from "./User.ts"

/**
 * Identifies a message. Events about a message that lies before the part of the history that the receiver may see have
 * only this as their data.
 */
const HiddenMessage = Schema.Struct({ messageId: MessageId, messageSeq: Seq }).annotate({
  identifier: "HiddenMessage"
})

/**
 * The root of the thread that a new reply belongs to, with the new number of replies. If the receiver may not see the
 * root, it has the form of a hidden `replyTo`.
 */
const ThreadRoot = Schema.Union([
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

/** Data about a message, or only its `HiddenMessage` for receivers who may not see it. */
const about = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.Union([Schema.Struct({ ...HiddenMessage.fields, ...fields }), HiddenMessage])

/** `count` is the new number of users with that reaction. */
const reaction = about({ emoji: Schema.String, userId: UserId, count: Schema.Int })

const durable = <const Name extends string, Data extends Schema.Top>(event: Name, description: string, data: Data) =>
  Schema.Struct({
    event: Schema.Literal(event),
    conversationId: ConversationId,
    seq: Seq,
    at: Timestamp,
    actorId: UserId,
    data
  }).annotate({ identifier: event, description })

/** The durable events. Each has a position in the log of its conversation, and clients that missed it can fetch it. */
export const Event = Schema.Union([
  durable(
    "conversation.created",
    "The conversation begins; this is always `seq` 1.",
    Schema.Struct({ kind: Kind, title: Schema.NullOr(Schema.String), memberCount: Schema.Int })
  ),
  durable(
    "conversation.updated",
    "The fields in `data` were changed.",
    Schema.Struct({
      title: Schema.optionalKey(Schema.NullOr(Schema.String)),
      avatarUrl: Schema.optionalKey(Schema.NullOr(Schema.String)),
      historyForNewMembers: Schema.optionalKey(HistoryForNewMembers),
      messageLifetimeSeconds: Schema.optionalKey(Schema.NullOr(Schema.Int))
    })
  ),
  durable(
    "message.created",
    "A message was sent.",
    Schema.Struct({ message: Message, threadRoot: Schema.optionalKey(ThreadRoot) })
  ),
  durable(
    "message.edited",
    "The body of a message was changed.",
    Schema.Union([Schema.Struct({ message: Message }), HiddenMessage])
  ),
  durable("message.deleted", "A message was deleted: it keeps its place, without its body.", HiddenMessage),
  durable("reaction.added", "A user reacted to a message. `count` is how many users have that reaction now.", reaction),
  durable("reaction.removed", "A user removed a reaction. `count` is how many users have that reaction now.", reaction),
  durable("message.pinned", "A message was pinned.", HiddenMessage),
  durable("message.unpinned", "A message was unpinned.", HiddenMessage),
  durable(
    "poll.voted",
    "A user voted. `votes` counts the votes for each option now, in the order of the options.",
    about({ votes: Schema.Array(Schema.Int) })
  ),
  durable("member.joined", "A user became a member.", Schema.Struct({ user: User, role: Role })),
  durable(
    "member.left",
    "A member left or was removed. The user who is gone gets `conversation.removed` instead.",
    Schema.Struct({ userId: UserId, removed: Schema.Boolean })
  ),
  durable("member.role-changed", "The role of a member was changed.", Schema.Struct({ userId: UserId, role: Role }))
])
export type Event = typeof Event.Type

/**
 * A page of a conversation's log. `head` is the last `seq` of the log; there are more pages while the `seq` of the last
 * item is below it.
 */
export const EventPage = Schema.Struct({ items: Schema.Array(Event), head: Seq }).annotate({ identifier: "EventPage" })
export type EventPage = typeof EventPage.Type

const ephemeral = <const Name extends string, D extends Schema.Struct.Fields>(
  event: Name,
  description: string,
  fields: D
) =>
  Schema.Struct({
    event: Schema.Literal(event),
    conversationId: Schema.optionalKey(ConversationId),
    data: Schema.Struct(fields)
  }).annotate({ identifier: event, description })

/** The ephemeral events. They have no `seq`, and a lost one is not repeated. */
export const Ephemeral = Schema.Union([
  ephemeral("typing.started", "A member is typing. It is never sent to the user who types.", { userId: UserId }),
  ephemeral("typing.stopped", "A member has stopped typing.", { userId: UserId }),
  ephemeral(
    "read.marked",
    "A member has read up to `seq`. In a conversation of more than 100 members, only the devices of that user get it.",
    { userId: UserId, seq: Seq }
  ),
  ephemeral(
    "delivered.marked",
    "Messages up to `seq` have reached a device of a member. It is not sent in a conversation of more than 100 members.",
    { userId: UserId, seq: Seq }
  ),
  ephemeral("presence.changed", "The presence of a user whom this socket subscribes to has changed.", Presence.fields),
  ephemeral("user.updated", "The profile of a user to whose presence this socket subscribes, or my own, has changed.", {
    user: User
  }),
  ephemeral(
    "conversation.added",
    "I became a member, or joined again: replace what the client holds of the conversation.",
    { conversation: Conversation }
  ),
  ephemeral(
    "conversation.removed",
    "I am no longer a member, or the conversation was deleted: delete what the client holds of it.",
    {}
  ),
  ephemeral("conversation.settings", "My side of a conversation has changed, perhaps on another device.", {
    me: Membership
  }),
  ephemeral("draft.updated", "My draft of a conversation has changed; null when it was cleared.", {
    draft: Schema.NullOr(Draft),
    userSeq: Seq
  }),
  ephemeral("star.updated", "I have saved a message, or removed a saved one, perhaps on another device.", {
    messageId: MessageId,
    messageSeq: Seq,
    starred: Schema.Boolean
  }),
  ephemeral("message.hidden", "I have hidden a message for myself, perhaps on another device.", {
    messageId: MessageId,
    messageSeq: Seq
  }),
  ephemeral(
    "conversation.reset",
    "Too much was missed: fetch the conversation again. Its events continue at `seq` + 1.",
    { seq: Seq }
  ),
  ephemeral(
    "conversation.dirty",
    "The client reads slowly. Later events are replayed once it has caught up. No action is needed.",
    { seq: Seq }
  ),
  ephemeral(
    "session.expiring",
    "The access token expires in a minute, or half of its time is over if it lives shorter: send `auth.token` with a new one before `expiresAt`.",
    { expiresAt: Timestamp }
  ),
  ephemeral("reconnect", "This node shuts down: reconnect in `afterMs` milliseconds.", { afterMs: Schema.Int })
])
export type Ephemeral = typeof Ephemeral.Type
