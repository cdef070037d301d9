import { Schema } from "effect"
import { ConversationId, InviteCode, Timestamp, UserId } from "./Ids.ts"

/** A link into a group. Without `expiresAt` it is good until it is revoked, without `maxUses` for anybody. */
export const Invite = Schema.Struct({
  code: InviteCode,
  conversationId: ConversationId,
  createdBy: UserId,
  createdAt: Timestamp,
  expiresAt: Schema.NullOr(Timestamp),
  maxUses: Schema.NullOr(Schema.Int),
  uses: Schema.Int
}).annotate({ identifier: "Invite" })
export type Invite = typeof Invite.Type

const aYear = 366 * 24 * 3600

export const NewInvite = Schema.Struct({
  expiresInSeconds: Schema.optionalKey(
    Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: aYear })))
  ),
  maxUses: Schema.optionalKey(Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000 }))))
}).annotate({ identifier: "NewInvite" })
export type NewInvite = typeof NewInvite.Type
