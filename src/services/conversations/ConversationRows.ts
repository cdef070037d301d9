import { Schema } from "effect"
import type { Conversation, HistoryForNewMembers, Kind, Member, Role } from "../../domain/Conversation.ts"
import { ConversationId, UserId } from "../../domain/Ids.ts"
import type { StoredUserKind, UserRow } from "../identity/Rows.ts"
import { toUser } from "../identity/Users.ts"
import { type MessageRow, toMessage } from "../log/MessageRows.ts"
import { cursorOf, Millis } from "../platform/Paging.ts"

/** A row of `conversation_members`. */
export interface MembershipRow {
  readonly userId: UserId
  readonly role: Role
  readonly joinedSeq: number
  readonly visibleFromSeq: number
  readonly leftSeq: number | null
  /** Whether another member removed this one. An invite does not let such a user in again; a member must add them. */
  readonly removed: boolean
  readonly joinedAt: Date
  readonly readSeq: number
  readonly deliveredSeq: number
  readonly mutedUntil: Date | null
  readonly archived: boolean
  readonly pinned: boolean
  readonly notify: "all" | "mentions" | "none"
  readonly userSeq: number
  /** False for the member of a DM without messages who has not opened it. */
  readonly shown: boolean
  /** When the membership of a guest ends; null for everybody else, and for a guest whose invite does not expire. */
  readonly guestUntil: Date | null
}

/** A member's view of a conversation as it comes from storage; `peerId` is null in a group. */
export interface ConversationRow
  extends Omit<MembershipRow, "userId" | "leftSeq" | "removed" | "joinedAt" | "userSeq" | "shown" | "guestUntil"> {
  readonly id: ConversationId
  readonly kind: Kind
  readonly title: string | null
  readonly avatarUrl: string | null
  readonly createdBy: UserId
  readonly createdAt: Date
  readonly historyForNewMembers: HistoryForNewMembers
  readonly messageLifetimeSeconds: number | null
  readonly seq: number
  readonly lastActivityAt: Date
  readonly memberCount: number
  readonly unreadCount: number
  readonly mentionCount: number
  readonly peerId: UserId | null
  readonly peerUsername: string
  readonly peerDisplayName: string
  readonly peerAvatarUrl: string | null
  readonly peerCreatedAt: Date
  readonly peerKind: StoredUserKind
}

/** The columns of a user that other users may see. */
export type ProfileRow = Pick<UserRow, "id" | "username" | "displayName" | "avatarUrl" | "createdAt" | "kind">

/** The columns of a ProfileRow, from a `users u`. */
export const profileColumns = "u.id, u.username, u.display_name, u.avatar_url, u.created_at, u.kind"

/** A member with the user's profile. */
export type MemberRow = ProfileRow & Pick<MembershipRow, "role" | "joinedAt" | "joinedSeq" | "readSeq" | "deliveredSeq">

/** The columns of a MemberRow, from a `users u` and the membership `m`. A message that was read was delivered. */
export const memberColumns = `${profileColumns}, m.role, m.joined_at, m.joined_seq, m.read_seq,
  GREATEST(m.delivered_seq, m.read_seq) AS delivered_seq`

/** The conversation as the member sees it. `lastMessage` is the last message that the member may see. */
export const toConversation = (row: ConversationRow, lastMessage: MessageRow | undefined): Conversation => ({
  id: row.id,
  kind: row.kind,
  title: row.title,
  avatarUrl: row.avatarUrl,
  createdBy: row.createdBy,
  createdAt: row.createdAt.toISOString(),
  historyForNewMembers: row.kind === "dm" ? "all" : row.historyForNewMembers,
  messageLifetimeSeconds: row.messageLifetimeSeconds,
  seq: row.seq,
  lastActivityAt: row.lastActivityAt.toISOString(),
  lastMessage: lastMessage === undefined ? null : toMessage(lastMessage, row.visibleFromSeq),
  memberCount: row.memberCount,
  peer:
    row.peerId === null
      ? null
      : toUser({
          id: row.peerId,
          username: row.peerUsername,
          displayName: row.peerDisplayName,
          avatarUrl: row.peerAvatarUrl,
          createdAt: row.peerCreatedAt,
          kind: row.peerKind
        }),
  me: {
    role: row.role,
    joinedSeq: row.joinedSeq,
    visibleFromSeq: row.visibleFromSeq,
    readSeq: row.readSeq,
    deliveredSeq: row.deliveredSeq,
    unreadCount: row.unreadCount,
    mentionCount: row.mentionCount,
    mutedUntil: row.mutedUntil?.toISOString() ?? null,
    archived: row.archived,
    pinned: row.pinned,
    notify: row.notify
  }
})

/** The member as other members see them. */
export const toMember = (row: MemberRow): Member => ({
  user: toUser(row),
  role: row.role,
  joinedAt: row.joinedAt.toISOString(),
  readSeq: row.readSeq,
  deliveredSeq: row.deliveredSeq
})

const activityCursor = cursorOf(Schema.Struct({ at: Millis, id: ConversationId }))
const joiningCursor = cursorOf(Schema.Struct({ joinedSeq: Schema.Int, id: UserId }))

/** The cursor of the list of conversations, which is in the order of their latest activity. */
export const listCursor = {
  decode: activityCursor.decode,
  at: ({ id, lastActivityAt }: ConversationRow) => activityCursor.encode({ at: lastActivityAt.getTime(), id })
}

/** The cursor of the list of members, which is in the order in which they joined. */
export const memberCursor = {
  decode: joiningCursor.decode,
  at: ({ id, joinedSeq }: MemberRow) => joiningCursor.encode({ joinedSeq, id })
}
