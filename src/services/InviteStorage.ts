import type { Effect } from "effect"
import { Schema } from "effect"
import type { ConversationId, InviteCode, UserId } from "../domain/Ids.ts"
import type { Invite } from "../domain/Invite.ts"
import type { Page, PageRequest } from "../domain/Page.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { pageOf } from "./ConversationRows.ts"
import type { Actor } from "./MemberStorage.ts"
import { cursorOf } from "./Paging.ts"

/** What an invite is made of; `key` is the Idempotency-Key, under which the hash tells a retry from another request. */
export interface InviteRequest {
  readonly code: InviteCode
  readonly expiresInSeconds: number | null
  readonly maxUses: number | null
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
}

type Change<A, E = never> = Effect.Effect<A, E | NotFound | Forbidden | Conflict | Unavailable>

/** How invites are kept and used: each change in one transaction, under the lock of the conversation's head. */
export interface InviteStorage {
  readonly create: (actor: Actor, request: InviteRequest) => Change<Invite>
  readonly list: (actor: Actor, page: PageRequest) => Change<Page<Invite>, InvalidRequest>
  readonly revoke: (actor: Actor, code: InviteCode) => Change<void>
  /** Of what group it is or was one. */
  readonly groupOf: (code: InviteCode) => Effect.Effect<ConversationId, NotFound | Unavailable>
  /** False when the user was a member before. */
  readonly accept: (
    conversationId: ConversationId,
    userId: UserId,
    code: InviteCode,
    limit: number
  ) => Effect.Effect<boolean, NotFound | Conflict | Unavailable>
}

export const toInvite = ({ createdAt, expiresAt, ...row }: InviteRow): Invite => ({
  code: row.code,
  conversationId: row.conversationId,
  createdBy: row.createdBy,
  createdAt: createdAt.toISOString(),
  expiresAt: expiresAt?.toISOString() ?? null,
  maxUses: row.maxUses,
  uses: row.uses
})

/** Where a page of invites begins: below this number. */
export const inviteCursor = cursorOf(Schema.Int)

export const toInvites = (rows: ReadonlyArray<InviteRow>, limit: number): Page<Invite> =>
  pageOf(rows, limit, rows.slice(0, limit).map(toInvite), ({ number }) => inviteCursor.encode(number))
