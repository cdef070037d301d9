import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import {
  Conversation,
  ConversationChange,
  IdempotencyKey,
  Member,
  Membership,
  NewMembers,
  RoleChange,
  SettingsChange
} from "../domain/Conversation.ts"
import { ConversationId, InviteCode, UserId } from "../domain/Ids.ts"
import { Invite, NewInvite } from "../domain/Invite.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { SignedIn } from "./Callers.ts"

const conversationId = ConversationId

/** What may be refused to a member for his role, and to everybody in a DM. */
const refusals = [NotFound, Forbidden, Conflict, Unavailable] as const

export const GroupRpcs = RpcGroup.make(
  Rpc.make("conversation.update", {
    payload: { conversationId, ...ConversationChange.fields },
    success: Conversation,
    error: Schema.Union([InvalidRequest, ...refusals])
  }),
  Rpc.make("conversation.settings", {
    payload: { conversationId, ...SettingsChange.fields },
    success: Membership,
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  }),
  Rpc.make("member.add", {
    payload: { conversationId, ...NewMembers.fields },
    success: Schema.Struct({ items: Schema.Array(Member) }),
    error: Schema.Union([InvalidRequest, RateLimited, ...refusals])
  }),
  Rpc.make("member.update", {
    payload: { conversationId, userId: UserId, ...RoleChange.fields },
    success: Member,
    error: Schema.Union([InvalidRequest, RateLimited, ...refusals])
  }),
  Rpc.make("member.remove", {
    payload: { conversationId, userId: UserId },
    error: Schema.Union([RateLimited, ...refusals])
  }),
  Rpc.make("member.leave", { payload: { conversationId }, error: Schema.Union(refusals) }),
  Rpc.make("invite.create", {
    payload: { conversationId, ...NewInvite.fields, idempotencyKey: Schema.optionalKey(IdempotencyKey) },
    success: Invite,
    error: Schema.Union([InvalidRequest, ...refusals])
  }),
  Rpc.make("invite.list", {
    payload: { conversationId, ...pageFields },
    success: Page(Invite),
    error: Schema.Union([InvalidRequest, ...refusals])
  }),
  Rpc.make("invite.revoke", { payload: { conversationId, code: InviteCode }, error: Schema.Union(refusals) }),
  Rpc.make("invite.accept", {
    payload: { code: InviteCode },
    success: Conversation,
    error: Schema.Union([NotFound, Conflict, RateLimited, Unavailable])
  })
).middleware(SignedIn)
