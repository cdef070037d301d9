import { Schema } from "effect"
import type { Conversation, HistoryForNewMembers, Kind, Member } from "../domain/Conversation.ts"
import { ConversationId, UserId } from "../domain/Ids.ts"
import type { Page } from "../domain/Page.ts"
import { Conflict, NotFound } from "../domain/Problem.ts"
import type { MembershipRow, UserRow } from "./Memory.ts"
import { type MessageRow, toMessage } from "./MessageRows.ts"
import { cursorOf, Millis } from "./Paging.ts"

/** A member's view of a conversation as it comes from storage; `peerId` is null but in a DM. */
export interface ConversationRow
  extends Omit<MembershipRow, "userId" | "leftSeq" | "removed" | "joinedAt" | "userSeq"> {
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
}

/** A member with his profile. */
export type MemberRow = Pick<UserRow, "id" | "username" | "displayName" | "avatarUrl" | "createdAt"> &
  Pick<MembershipRow, "role" | "joinedAt" | "joinedSeq" | "readSeq" | "deliveredSeq">

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
      : {
          id: row.peerId,
          username: row.peerUsername,
          displayName: row.peerDisplayName,
          avatarUrl: row.peerAvatarUrl,
          createdAt: row.peerCreatedAt.toISOString()
        },
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

export const toMember = (row: MemberRow): Member => ({
  user: {
    id: row.id,
    username: row.username,
    displayName: row.displayName,
    avatarUrl: row.avatarUrl,
    createdAt: row.createdAt.toISOString()
  },
  role: row.role,
  joinedAt: row.joinedAt.toISOString(),
  readSeq: row.readSeq,
  deliveredSeq: row.deliveredSeq
})

/** A page of `items`, whose rows were read with one more than the limit to see whether there is a next page. */
export const pageOf = <Row, A>(
  rows: ReadonlyArray<Row>,
  limit: number,
  items: ReadonlyArray<A>,
  cursorAt: (last: Row) => string
): Page<A> => {
  const last = rows.length > limit ? rows[limit - 1] : undefined
  return last === undefined ? { items } : { items, nextCursor: cursorAt(last) }
}

const listPlace = cursorOf(Schema.Struct({ at: Millis, id: ConversationId }))
const memberPlace = cursorOf(Schema.Struct({ joinedSeq: Schema.Int, id: UserId }))

/** By latest activity. */
export const listCursor = {
  decode: listPlace.decode,
  at: ({ id, lastActivityAt }: ConversationRow) => listPlace.encode({ at: lastActivityAt.getTime(), id })
}

/** By joining. */
export const memberCursor = {
  decode: memberPlace.decode,
  at: ({ id, joinedSeq }: MemberRow) => memberPlace.encode({ joinedSeq, id })
}

export const noUser = new NotFound({ detail: "There is no such user" })

export const keyReused = new Conflict({
  code: "idempotency-key-reused",
  detail: "That Idempotency-Key stands for another request"
})
