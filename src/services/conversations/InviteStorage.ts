import { Context, type Effect, Schema } from "effect"
import type { ConversationId, InviteCode, UserId } from "../../domain/Ids.ts"
import type { Invite } from "../../domain/Invite.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../../domain/Problem.ts"
import type { UserRow } from "../identity/Rows.ts"
import { cursorOf, pageOf } from "../platform/Paging.ts"
import type { Actor } from "./MemberStorage.ts"

/** A new invite. `key` is the Idempotency-Key, under which the hash tells a retry from another request. */
export interface InviteRequest {
  readonly code: InviteCode
  readonly expiresInSeconds: number | null
  readonly maxUses: number | null
  readonly guests: boolean
  readonly key: string | null
  readonly requestHash: Uint8Array
}

/** A row of `invites`. */
export interface InviteRow {
  readonly code: InviteCode
  /** Counts the invites in the order in which they were made. */
  readonly number: number
  readonly conversationId: ConversationId
  readonly createdBy: UserId
  readonly createdAt: Date
  readonly expiresAt: Date | null
  readonly maxUses: number | null
  readonly uses: number
  readonly guests: boolean
}

type Change<A> = Effect.Effect<A, NotFound | Forbidden | Conflict | Unavailable>

/** Stores and uses invites: each change in one transaction, under the lock of the conversation's head. */
export class InviteStorage extends Context.Service<
  InviteStorage,
  {
    /**
     * Stores an invite, or answers with the one that the same request has made under its key within 24 hours. Fails
     * with `NotFound` for non-members, `Forbidden` for plain members, and `Conflict` in a DM ("not-a-group") and for a
     * key of another request ("idempotency-key-reused").
     */
    readonly create: (actor: Actor, request: InviteRequest) => Change<Invite>
    /** A page of the open invites of the group, the newest first. It does not check the role of a user. */
    readonly list: (
      conversationId: ConversationId,
      page: PageRequest
    ) => Effect.Effect<Page<Invite>, InvalidRequest | Unavailable>
    /**
     * Ends an invite at once. Repeating it is safe. Fails as `create` does, and with `NotFound` for an unknown invite.
     */
    readonly revoke: (actor: Actor, code: InviteCode) => Change<void>
    /** The group of an invite, even of one that is no longer open. `NotFound` for an unknown invite. */
    readonly groupOf: (code: InviteCode) => Effect.Effect<ConversationId, NotFound | Unavailable>
    /**
     * Makes the user a member and counts the use, in one transaction. Answers false, and counts nothing, when the user
     * was a member before. Fails with `NotFound` for an invite that is not open, and with `Conflict` ("group-full")
     * when the group has `limit` members.
     */
    readonly accept: (
      userId: UserId,
      conversationId: ConversationId,
      code: InviteCode,
      limit: number
    ) => Effect.Effect<boolean, NotFound | Conflict | Unavailable>
    /**
     * Stores a new user, who joins the group by the invite; either both happen or neither. A guest can only use an invite
     * that admits guests, here as in `accept`, and the membership ends with it: see `Guests`.
     */
    readonly register: (
      user: UserRow,
      conversationId: ConversationId,
      code: InviteCode,
      limit: number
    ) => Effect.Effect<void, NotFound | Conflict | Unavailable>
  }
>()("chat/services/InviteStorage") {}

/** The invite as owners and admins see it. */
export const toInvite = ({ createdAt, expiresAt, ...row }: InviteRow): Invite => ({
  code: row.code,
  conversationId: row.conversationId,
  createdBy: row.createdBy,
  createdAt: createdAt.toISOString(),
  expiresAt: expiresAt?.toISOString() ?? null,
  maxUses: row.maxUses,
  uses: row.uses,
  guests: row.guests
})

/** The cursor of the list of invites: the page begins below this number. */
export const inviteCursor = cursorOf(Schema.Int)

/** A page of invites from rows that were read with one more than the limit. */
export const toInvites = (rows: ReadonlyArray<InviteRow>, limit: number): Page<Invite> =>
  pageOf(rows, limit, rows.slice(0, limit).map(toInvite), ({ number }) => inviteCursor.encode(number))
