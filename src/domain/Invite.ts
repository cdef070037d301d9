import { Schema } from "effect"
import { ConversationId, InviteCode, UserId } from "./Ids.ts"
import { Timestamp } from "./Time.ts"

/**
 * An invite link into a group. It is valid until `expiresAt`, or until it is revoked if that is null. `maxUses` limits how
 * many users can join with it; null means no limit. With `guests` it also admits people without an account.
 */
export const Invite = Schema.Struct({
  code: InviteCode,
  conversationId: ConversationId,
  createdBy: UserId,
  createdAt: Timestamp,
  expiresAt: Schema.NullOr(Timestamp),
  maxUses: Schema.NullOr(Schema.Int),
  uses: Schema.Int,
  guests: Schema.Boolean
}).annotate({ identifier: "Invite" })
export type Invite = typeof Invite.Type

/** A year, in seconds. */
const aYear = 366 * 24 * 3600

/** An invite to create. Fields that are absent or null set no limit. */
export const NewInvite = Schema.Struct({
  expiresInSeconds: Schema.optionalKey(
    Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: aYear })))
  ),
  maxUses: Schema.optionalKey(Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000 })))),
  guests: Schema.optionalKey(Schema.Boolean).annotate({
    description: "Whether people without an account may join as guests"
  })
}).annotate({ identifier: "NewInvite" })
export type NewInvite = typeof NewInvite.Type
