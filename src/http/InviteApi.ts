import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Conversation, IdempotencyKey } from "../domain/Conversation.ts"
import { InviteCode } from "../domain/Ids.ts"
import { Invite, NewInvite } from "../domain/Invite.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { Authorization, JsonBody } from "./Middleware.ts"
import { conversationParams } from "./Params.ts"

const create = HttpApiEndpoint.post("create", "/v1/conversations/:id/invites", {
  params: conversationParams,
  headers: {
    "idempotency-key": Schema.optionalKey(IdempotencyKey).annotate({
      description: "Makes the creation safe to retry for 24 hours"
    })
  },
  payload: [NewInvite, Schema.Null],
  success: Invite.pipe(HttpApiSchema.status(201)),
  error: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Make an invite",
      description:
        "Owners and admins may (403 for others). Without `expiresInSeconds` it never expires, without `maxUses` it can be used by anybody; the body may be left out. 409 `not-a-group` for a direct conversation, `idempotency-key-reused` when the key stands for another request."
    })
  )

const list = HttpApiEndpoint.get("list", "/v1/conversations/:id/invites", {
  params: conversationParams,
  query: pageFields,
  success: Page(Invite),
  error: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Invites of a group",
    description: "Those that can still be used, the latest first. For owners and admins (403 for others)."
  })
)

const revoke = HttpApiEndpoint.delete("revoke", "/v1/conversations/:id/invites/:code", {
  params: { ...conversationParams, code: InviteCode },
  success: HttpApiSchema.NoContent,
  error: [Forbidden, NotFound, Conflict, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Revoke an invite",
    description: "For owners and admins (403 for others). Succeeds also when it was revoked before."
  })
)

const accept = HttpApiEndpoint.post("accept", "/v1/invites/:code/accept", {
  params: { code: InviteCode },
  success: [Conversation.pipe(HttpApiSchema.status(201)), Conversation.pipe(HttpApiSchema.status(200))],
  error: [NotFound, Conflict, RateLimited, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Accept an invite",
    description:
      "Makes me a member: 201 with the group, or 200 when I am one already, which uses the invite not again. 404 when it is unknown, expired, revoked or used up, and when somebody has removed me from the group; 409 `group-full` when there is no room."
  })
)

export class InviteGroup extends HttpApiGroup.make("invite")
  .add(create, list, revoke, accept)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "Links into groups" })) {}
