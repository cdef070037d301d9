import { Schema } from "effect"
import { ConversationId, Seq, UserId } from "./Ids.ts"
import { Message } from "./Message.ts"
import { Name } from "./Text.ts"
import { OffsetTimestamp, Timestamp } from "./Time.ts"
import { Url } from "./Url.ts"
import { User } from "./User.ts"

/** A direct conversation of two users (or of one with themselves), or a group. */
export const Kind = Schema.Literals(["dm", "group"])
export type Kind = typeof Kind.Type

/** The role of a member in a group; both members of a direct conversation have the role `member`. */
export const Role = Schema.Literals(["owner", "admin", "member"])
export type Role = typeof Role.Type

/** Whether new members see the messages from before they joined. A change applies only to members who join later. */
export const HistoryForNewMembers = Schema.Literals(["all", "from-join"])
export type HistoryForNewMembers = typeof HistoryForNewMembers.Type

/** Which messages I want notifications for. */
const Notify = Schema.Literals(["all", "mentions", "none"])

/**
 * My own side of a conversation. I see messages from `visibleFromSeq` on. `unreadCount` follows from `readSeq` and stops
 * at `unreadCap`.
 */
export const Membership = Schema.Struct({
  role: Role,
  joinedSeq: Seq,
  visibleFromSeq: Seq,
  readSeq: Seq,
  deliveredSeq: Seq,
  unreadCount: Schema.Int,
  mentionCount: Schema.Int,
  mutedUntil: Schema.NullOr(Timestamp),
  archived: Schema.Boolean,
  pinned: Schema.Boolean,
  notify: Notify
}).annotate({ identifier: "Membership" })
export type Membership = typeof Membership.Type

/** Unread messages are counted up to this number, so that counting stays cheap. */
export const unreadCap = 100

/**
 * A conversation as I see it. `seq` is the head of its log. `peer` is the other user of a direct conversation. Messages
 * are deleted `messageLifetimeSeconds` after they were sent; null means that they are kept.
 */
export const Conversation = Schema.Struct({
  id: ConversationId,
  kind: Kind,
  title: Schema.NullOr(Schema.String),
  avatarUrl: Schema.NullOr(Schema.String),
  createdBy: UserId,
  createdAt: Timestamp,
  historyForNewMembers: HistoryForNewMembers,
  messageLifetimeSeconds: Schema.NullOr(Schema.Int),
  seq: Seq,
  lastActivityAt: Timestamp,
  lastMessage: Schema.NullOr(Message),
  memberCount: Schema.Int,
  peer: Schema.NullOr(User),
  me: Membership
}).annotate({ identifier: "Conversation" })
export type Conversation = typeof Conversation.Type

/** A member of a conversation, with the markers that other members see. */
export const Member = Schema.Struct({
  user: User,
  role: Role,
  joinedAt: Timestamp,
  readSeq: Seq,
  deliveredSeq: Seq
}).annotate({ identifier: "Member" })
export type Member = typeof Member.Type

/** Opens the direct conversation with a user; with my own id it is my conversation for notes to myself. */
export const NewDirect = Schema.Struct({ kind: Schema.Literal("dm"), userId: UserId }).annotate({
  identifier: "NewDirect"
})

/** A title has at least one visible character. The limit on its length is a setting, which Conversations checks. */
export const Title = Name

/** A group to create. The limits on the length of the title and the number of members are settings. */
export const NewGroup = Schema.Struct({
  kind: Schema.Literal("group"),
  title: Title,
  avatarUrl: Schema.optionalKey(Schema.NullOr(Url)),
  memberIds: Schema.Array(UserId)
}).annotate({ identifier: "NewGroup" })

/** A conversation to open or create. */
export const NewConversation = Schema.Union([NewDirect, NewGroup])
export type NewConversation = typeof NewConversation.Type

/** The client chooses this key: requests that repeat it within 24 hours create a group or an invite only once. */
export const IdempotencyKey = Schema.String.check(
  Schema.isPattern(/^[\x21-\x7e]{1,128}$/, { message: "must be 1 to 128 visible ASCII characters" })
)

/** Between five seconds and a year. */
const Lifetime = Schema.Int.check(Schema.isBetween({ minimum: 5, maximum: 365 * 24 * 3600 }))

/**
 * The fields of a conversation to change for all members. A direct conversation has only `messageLifetimeSeconds`. A new
 * lifetime applies to messages that are sent from then on; null keeps them.
 */
export const ConversationChange = Schema.Struct({
  title: Schema.optionalKey(Title),
  avatarUrl: Schema.optionalKey(Schema.NullOr(Url)),
  historyForNewMembers: Schema.optionalKey(HistoryForNewMembers),
  messageLifetimeSeconds: Schema.optionalKey(Schema.NullOr(Lifetime))
}).annotate({ identifier: "ConversationChange" })
export type ConversationChange = typeof ConversationChange.Type

/** The fields of my own side of a conversation to change. `mutedUntil: null` unmutes it. */
export const SettingsChange = Schema.Struct({
  mutedUntil: Schema.optionalKey(Schema.NullOr(OffsetTimestamp)),
  archived: Schema.optionalKey(Schema.Boolean),
  pinned: Schema.optionalKey(Schema.Boolean),
  notify: Schema.optionalKey(Notify)
}).annotate({ identifier: "SettingsChange" })
export type SettingsChange = typeof SettingsChange.Type

/** Users to add to a group. The limit on their number is a setting. */
export const NewMembers = Schema.Struct({ userIds: Schema.Array(UserId) }).annotate({ identifier: "NewMembers" })

/** The new role of a member. */
export const RoleChange = Schema.Struct({ role: Role }).annotate({ identifier: "RoleChange" })

/** Where to move my read marker. It only moves forward, unless `force` is true: moving it back marks messages as unread. */
export const ReadMark = Schema.Struct({ seq: Seq, force: Schema.optionalKey(Schema.Boolean) }).annotate({
  identifier: "ReadMark"
})
export type ReadMark = typeof ReadMark.Type

/** Messages up to `seq` have reached one of my devices. Reading a message implies that it was delivered. */
export const DeliveredMark = Schema.Struct({ seq: Seq }).annotate({ identifier: "DeliveredMark" })

/** The counts over all my conversations. */
export const Unread = Schema.Struct({ unreadCount: Schema.Int, mentionCount: Schema.Int }).annotate({
  identifier: "Unread"
})
export type Unread = typeof Unread.Type
