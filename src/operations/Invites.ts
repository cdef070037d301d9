import { HttpApiSchema } from "effect/http-api"
import { Conversation } from "../domain/Conversation.ts"
import { InviteCode } from "../domain/Ids.ts"
import { Invite, NewInvite } from "../domain/Invite.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { conversation } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

/** The operations on the invites of a group. */
export const Invites = feature(
  { invite: "Links into groups" },
  operation("invite.create", {
    http: "POST /v1/conversations/:conversationId/invites",
    params: conversation,
    payload: NewInvite,
    optionalBody: true,
    idempotencyKey: "Makes the creation safe to retry for 24 hours",
    success: Invite,
    status: 201,
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable],
    summary: "Create an invite",
    description:
      "Owners and admins may do this (403 for others). Without `expiresInSeconds` the invite never expires, without `maxUses` any number of users can use it; the body may be left out. With `guests` people without an account can join (`invite.guest`). 409 `not-a-group` for a direct conversation, `idempotency-key-reused` when the key was used for another request."
  }),
  operation("invite.list", {
    http: "GET /v1/conversations/:conversationId/invites",
    params: conversation,
    query: pageFields,
    success: Page(Invite),
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, RateLimited, Unavailable],
    summary: "List the invites of a group",
    description: "Lists the invites that can still be used, the latest first. For owners and admins (403 for others)."
  }),
  operation("invite.revoke", {
    http: "DELETE /v1/conversations/:conversationId/invites/:code",
    params: { ...conversation, code: InviteCode },
    problems: [Forbidden, NotFound, Conflict, Unavailable],
    summary: "Revoke an invite",
    description: "For owners and admins (403 for others). Succeeds also when the invite was revoked before."
  }),
  operation("invite.accept", {
    http: "POST /v1/invites/:code/accept",
    params: { code: InviteCode },
    success: Conversation,
    // Only the status says whether the user is new in the group.
    overHttp: {
      success: [Conversation.pipe(HttpApiSchema.status(201)), Conversation.pipe(HttpApiSchema.status(200))]
    },
    problems: [NotFound, Conflict, RateLimited, Unavailable],
    summary: "Accept an invite",
    description:
      "Makes me a member: 201 with the group, or 200 when I am a member already, which does not use up the invite. 404 when the invite is unknown, expired, revoked or used up, when I was removed from the group, and when I am a guest and it admits none; 409 `group-full` when there is no room."
  })
)
