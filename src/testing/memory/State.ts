import { Context, Duration, Effect, Layer, Semaphore } from "effect"
import type { RegistrationMode } from "../../domain/Account.ts"
import type { Attachment } from "../../domain/Attachment.ts"
import { avatarPath } from "../../domain/Avatar.ts"
import type { HistoryForNewMembers, Kind } from "../../domain/Conversation.ts"
import type { Event } from "../../domain/Event.ts"
import type {
  AttachmentId,
  ConversationId,
  MessageId,
  ScheduledMessageId,
  ServiceTokenId,
  SessionId,
  UserId
} from "../../domain/Ids.ts"
import type { MessageType } from "../../domain/Message.ts"
import type { SentPayload } from "../../domain/Payload.ts"
import { blocked } from "../../domain/Refusals.ts"
import type { StarChange } from "../../domain/Sync.ts"
import type { AuditRow } from "../../services/admin/Audit.ts"
import type { StoredReset } from "../../services/admin/PasswordResets.ts"
import type { ServiceTokenRow } from "../../services/admin/ServiceTokens.ts"
import type { MembershipRow } from "../../services/conversations/ConversationRows.ts"
import type { AvatarRow } from "../../services/files/Avatars.ts"
import { type Full, mostFiles, type StorageLimits } from "../../services/files/StorageLimits.ts"
import type { SessionRow, UserRow } from "../../services/identity/Rows.ts"
import type { ScheduledRow } from "../../services/messages/ScheduledMessages.ts"
import { type AttachmentRow, receivedOf, type UploadRow } from "./FileRows.ts"

/**
 * A retry with the same Idempotency-Key gets the first answer for this long, in milliseconds: `idempotency_window` in
 * SQL.
 */
export const idempotencyWindow = Duration.toMillis("24 hours")

/** A guest is looked at again after this long, in milliseconds: `guest_check_interval` in SQL. */
export const checkInterval = Duration.toMillis("1 hour")

/** A row of `messages`, with what its other tables keep of it. Reactions are in the order of their first user. */
export interface LoggedMessage {
  readonly event: "message.created"
  readonly id: MessageId
  readonly seq: number
  readonly senderId: UserId
  readonly clientMessageId: string
  readonly requestHash: string
  readonly type: MessageType
  readonly body: string
  readonly replySeq: number | null
  readonly createdAt: Date
  readonly editedAt: Date | null
  readonly deletedAt: Date | null
  readonly revision: number
  readonly changedSeq: number
  readonly pinnedAt: Date | null
  readonly reactions: ReadonlyArray<{ readonly emoji: string; readonly userIds: ReadonlyArray<UserId> }>
  readonly threadRootId: MessageId | null
  readonly threadRootSeq: number | null
  readonly threadPlace: number | null
  readonly threadReplyCount: number
  readonly mentions: ReadonlyArray<UserId> | null
  readonly payload: SentPayload | null
  readonly attachments: ReadonlyArray<Attachment> | null
  /** The votes of a poll: the options that each user chose. */
  readonly ballots: ReadonlyMap<UserId, ReadonlyArray<number>>
  readonly revisions: ReadonlyArray<{ readonly revision: number; readonly body: string; readonly createdAt: Date }>
  readonly hiddenFor: ReadonlyArray<UserId>
}

/** A row of `avatars`. */
export interface StoredAvatar extends AvatarRow {
  readonly createdAt: number
  readonly bytes: number
}

/** A row of `stars`. */
export interface StarRow extends StarChange {
  readonly userSeq: number
}

/** A row of `thread_members`. */
export interface ThreadMemberRow {
  readonly readSeq: number
  readonly lastReplySeq: number | null
}

/** A row of `conversation_events`: what it carries of messages and users is read as it is now. */
export type LoggedEvent = Exclude<Event, { readonly event: "message.created" }>

/** A conversation with its head, its members and its log, in which `seq` n stands at n - 1. */
export interface StoredConversation {
  readonly id: ConversationId
  readonly kind: Kind
  readonly title: string | null
  readonly avatarUrl: string | null
  readonly createdBy: UserId
  readonly createdAt: Date
  readonly historyForNewMembers: HistoryForNewMembers
  readonly messageLifetimeSeconds: number | null
  /** The spans of the log in which a lifetime was set: after `fromSeq`, up to `throughSeq`. */
  readonly lifetimes: ReadonlyArray<{
    readonly fromSeq: number
    readonly throughSeq: number | undefined
    readonly seconds: number
  }>
  readonly peers: readonly [UserId, UserId] | null
  readonly members: Map<UserId, MembershipRow>
  readonly log: Array<LoggedMessage | LoggedEvent>
  /** The members of each thread, by the seq of its root. */
  readonly threads: Map<number, Map<UserId, ThreadMemberRow>>
  lastActivityAt: Date
  /** Whether it is a DM of two users without any message so far. */
  empty: boolean
}

/** Runs changes one after the other, and never cuts one short, as transactions of a database would do. */
const atomically = Effect.map(
  Semaphore.make(1),
  (turns) =>
    <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.uninterruptible(turns.withPermits(1)(effect))
)

/** A row of `external_identities`. */
export interface ExternalIdentity {
  readonly userId: UserId
  readonly profileAt: number
  readonly validFrom: number
  readonly closed: boolean
}

/** The tables that the in-memory services share, in place of a database. */
export class Memory extends Context.Service<
  Memory,
  {
    readonly users: Map<UserId, UserRow>
    /** When to look whether a guest is still there: `guest_check_at` in SQL. */
    readonly guestChecks: Map<UserId, number>
    readonly sessions: Map<SessionId, SessionRow>
    /** The external identities, by `identityKey`. */
    readonly identities: Map<string, ExternalIdentity>
    readonly conversations: Map<ConversationId, StoredConversation>
    /** The groups of the application, by its keys for them. */
    readonly conversationKeys: Map<string, ConversationId>
    readonly userHeads: Map<UserId, number>
    /** Whom users have blocked, and since when. */
    readonly blocks: Map<UserId, Map<UserId, Date>>
    /** The requests with an Idempotency-Key, by user and key. */
    readonly idempotencyKeys: Map<string, { readonly request: string; readonly id: ConversationId; readonly at: Date }>
    readonly stars: Map<UserId, Map<MessageId, StarRow>>
    readonly scheduledMessages: Map<ScheduledMessageId, ScheduledRow & { readonly key: string | null }>
    readonly attachments: Map<AttachmentId, AttachmentRow>
    readonly uploads: Map<AttachmentId, UploadRow>
    readonly avatars: Map<string, StoredAvatar>
    /** The blobs that something refers to or did, and their bytes in the store. */
    readonly blobs: Map<string, number>
    readonly passwordResets: Map<UserId, StoredReset>
    readonly serviceTokens: Map<ServiceTokenId, ServiceTokenRow>
    readonly audit: Array<AuditRow>
    /** The deleted users whose messages are still to be erased. */
    readonly erasures: Set<UserId>
    readonly registration: { chosen: RegistrationMode | undefined }
    /** How every change of a conversation is made. */
    readonly atomically: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  }
>()("chat/testing/Memory") {
  static readonly layer = Layer.effect(
    Memory,
    Effect.map(atomically, (atomically) => ({
      users: new Map(),
      guestChecks: new Map(),
      sessions: new Map(),
      identities: new Map(),
      conversations: new Map(),
      conversationKeys: new Map(),
      userHeads: new Map(),
      blocks: new Map(),
      idempotencyKeys: new Map(),
      stars: new Map(),
      scheduledMessages: new Map(),
      attachments: new Map(),
      uploads: new Map(),
      avatars: new Map(),
      blobs: new Map(),
      passwordResets: new Map(),
      serviceTokens: new Map(),
      audit: [],
      erasures: new Set(),
      registration: { chosen: undefined },
      atomically
    }))
  )
}

/** The key of an external identity. */
export const identityKey = (issuer: string, subject: string) => JSON.stringify([issuer, subject])

/** Whether the user or the conversation has the avatar as `avatarUrl`. */
export const isShown = (
  { conversations, users }: Memory["Service"],
  { conversationId, id, ownerId }: AvatarRow
): boolean => {
  const { avatarUrl } = (conversationId === null ? users.get(ownerId) : conversations.get(conversationId)) ?? {}
  return avatarUrl === avatarPath(id)
}

/** The files that a user has uploaded: `user_storage` in SQL. */
export const useOf = (memory: Memory["Service"], userId: UserId) => {
  const files = [...memory.attachments.values(), ...[...memory.avatars.values()].filter((row) => isShown(memory, row))]
  const own = files.filter(({ bytes, ownerId }) => ownerId === userId && bytes > 0)
  return { files: own.length, bytes: own.reduce((sum, { bytes }) => sum + bytes, 0) }
}

/** What the store has of all files, and of the uploads that are under way except the one with this id. */
export const storedOf = ({ blobs, uploads }: Memory["Service"], id?: string): number => {
  const received = [...uploads].map(([uploadId, row]) => (uploadId === id ? 0 : receivedOf(row)))
  return [...blobs.values(), ...received].reduce((sum, each) => sum + each, 0)
}

/**
 * Why there is no room for so many more bytes, of the user and in the store: `refusal_to_store` in SQL. Uploads that are
 * under way count for their user by their whole size, and for all files by what has arrived, except the one with this id.
 */
export const fullness = (
  memory: Memory["Service"],
  userId: UserId,
  id: string,
  { bytes, stored }: { readonly bytes: number; readonly stored: number },
  limits: StorageLimits
): Full | undefined => {
  const used = useOf(memory, userId)
  const begun = [...memory.uploads].flatMap(([uploadId, row]) => (uploadId === id ? [] : [row]))
  const own = begun.filter(({ ownerId }) => ownerId === userId)
  const ownBytes = own.reduce((sum, { size }) => sum + size, used.bytes)
  if (ownBytes + bytes > limits.user || used.files + own.length >= mostFiles(limits)) return "full"
  const all = storedOf(memory, id) + stored
  return limits.all !== null && all > limits.all ? "store-full" : undefined
}

/** What an upload takes up at least, when it begins. */
export const oneByte = { bytes: 1, stored: 1 }

/** Deletes the attachments that fit, whose blobs are counted for the next ones: `drop_attachments` in SQL. */
export const dropAttachments = ({ attachments }: Memory["Service"], fits: (row: AttachmentRow) => boolean) => {
  const gone = [...attachments].filter(([, row]) => fits(row))
  for (const [id] of gone) attachments.delete(id)
  for (const [, { blobId, bytes }] of gone) {
    const heir = bytes > 0 ? [...attachments].find(([, row]) => row.blobId === blobId) : undefined
    if (heir !== undefined) attachments.set(heir[0], { ...heir[1], bytes })
  }
}

/** Deletes the tokens of a bot, and counts them. */
export const revokeBotTokens = (tokens: Memory["Service"]["serviceTokens"], botId: UserId): number => {
  const own = [...tokens.values()].filter((row) => row.botId === botId)
  for (const { id } of own) tokens.delete(id)
  return own.length
}

/** Whether the conversation is a DM whose other member has blocked the user, who then can change nothing in it. */
export const isBlocked = ({ blocks }: Memory["Service"], { peers }: StoredConversation, userId: UserId): boolean => {
  const peer = peers?.find((id) => id !== userId)
  return peer !== undefined && blocks.get(peer)?.has(userId) === true
}

/** Refuses a change of a DM whose other member has blocked the user: `is_blocked` in SQL. */
export const checkNotBlocked = (memory: Memory["Service"], conversation: StoredConversation, userId: UserId) =>
  isBlocked(memory, conversation, userId) ? Effect.fail(blocked) : Effect.void

/** The next user seq of the user, for a change of the user's own state. */
export const nextUserSeq = ({ userHeads }: Memory["Service"], userId: UserId): number => {
  const seq = (userHeads.get(userId) ?? 0) + 1
  userHeads.set(userId, seq)
  return seq
}

/** Shows a DM to the member who has not opened it, and returns that user: `show_direct` in SQL. */
export const showDirect = (memory: Memory["Service"], { members }: StoredConversation): UserId | undefined => {
  const peer = [...members.values()].find(({ shown }) => !shown)
  if (peer !== undefined) {
    members.set(peer.userId, { ...peer, shown: true, userSeq: nextUserSeq(memory, peer.userId) })
  }
  return peer?.userId
}
