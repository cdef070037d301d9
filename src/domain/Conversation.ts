import { Schema } from "effect"
import { ConversationId, Moment, Seq, Timestamp, UserId } from "./Ids.ts"
import { Message } from "./Message.ts"
import { Text, Url } from "./Text.ts"
import { User } from "./User.ts"

export const Kind = Schema.Literals(["dm", "group"])
export type Kind = typeof Kind.Type

export const Role = Schema.Literals(["owner", "admin", "member"])
export type Role = typeof Role.Type

/** What a new member sees of what was written before; a change of it changes nothing for those who are members. */
export const HistoryForNewMembers = Schema.Literals(["all", "from-join"])
export type HistoryForNewMembers = typeof HistoryForNewMembers.Type

/** For what I am notified. */
export const Notify = Schema.Literals(["all", "mentions", "none"])

/** My side of a conversation. `unreadCount` is derived from `readSeq` and capped at 100. */
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

export const unreadCap = 100

/**
 * `seq` is the head of its log; `peer` the other user of a DM. `messageLifetimeSeconds`: messages that are sent now are
 * deleted after that time; null: they stay.
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

export const Member = Schema.Struct({
  user: User,
  role: Role,
  joinedAt: Timestamp,
  readSeq: Seq,
  deliveredSeq: Seq
}).annotate({ identifier: "Member" })
export type Member = typeof Member.Type

/** `userId` = me is the notes-to-self DM. */
export const NewDirect = Schema.Struct({ kind: Schema.Literal("dm"), userId: UserId }).annotate({
  identifier: "NewDirect"
})

/** The limit on its length is a setting. */
const Title = Text.check(Schema.isPattern(/\S/u, { message: "must not be empty" }))

/** The limits on the title's length and on the number of members are settings and checked by Conversations. */
export const NewGroup = Schema.Struct({
  kind: Schema.Literal("group"),
  title: Title,
  avatarUrl: Schema.optionalKey(Schema.NullOr(Url)),
  memberIds: Schema.Array(UserId)
}).annotate({ identifier: "NewGroup" })

export const NewConversation = Schema.Union([NewDirect, NewGroup])
export type NewConversation = typeof NewConversation.Type

/** Chosen by the client: a group or an invite is made once for each within 24 hours. */
export const IdempotencyKey = Schema.String.check(
  Schema.isPattern(/^[\x21-\x7e]{1,128}$/, { message: "must be 1 to 128 visible ASCII characters" })
)

/** From five seconds to a year. */
const Lifetime = Schema.Int.check(Schema.isBetween({ minimum: 5, maximum: 365 * 24 * 3600 }))

/**
 * The fields to change of what a conversation is for all its members: of a DM `messageLifetimeSeconds` alone, which
 * holds for what is sent from then on; null: messages stay.
 */
export const ConversationChange = Schema.Struct({
  title: Schema.optionalKey(Title),
  avatarUrl: Schema.optionalKey(Schema.NullOr(Url)),
  historyForNewMembers: Schema.optionalKey(HistoryForNewMembers),
  messageLifetimeSeconds: Schema.optionalKey(Schema.NullOr(Lifetime))
}).annotate({ identifier: "ConversationChange" })
export type ConversationChange = typeof ConversationChange.Type

/** The fields to change of my own side of a conversation; `mutedUntil: null` ends the quiet. */
export const SettingsChange = Schema.Struct({
  mutedUntil: Schema.optionalKey(Schema.NullOr(Moment)),
  archived: Schema.optionalKey(Schema.Boolean),
  pinned: Schema.optionalKey(Schema.Boolean),
  notify: Schema.optionalKey(Notify)
}).annotate({ identifier: "SettingsChange" })
export type SettingsChange = typeof SettingsChange.Type

/** Users to be added to a group; the limit on their number is a setting. */
export const NewMembers = Schema.Struct({ userIds: Schema.Array(UserId) }).annotate({ identifier: "NewMembers" })

export const RoleChange = Schema.Struct({ role: Role }).annotate({ identifier: "RoleChange" })

/** `force` may move the marker back, which marks as unread. */
export const ReadMark = Schema.Struct({ seq: Seq, force: Schema.optionalKey(Schema.Boolean) }).annotate({
  identifier: "ReadMark"
})
export type ReadMark = typeof ReadMark.Type

/** Up to where messages have reached one of my devices; reading implies it. */
export const DeliveredMark = Schema.Struct({ seq: Seq }).annotate({ identifier: "DeliveredMark" })

/** Over all my conversations. */
export const Unread = Schema.Struct({ unreadCount: Schema.Int, mentionCount: Schema.Int }).annotate({
  identifier: "Unread"
})
export type Unread = typeof Unread.Type
