import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Member, NewMembers, RoleChange } from "../domain/Conversation.ts"
import { UserId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { Authorization, JsonBody } from "./Middleware.ts"
import { conversationParams } from "./Params.ts"

const memberParams = { ...conversationParams, userId: UserId }

const list = HttpApiEndpoint.get("list", "/v1/conversations/:id/members", {
  params: conversationParams,
  query: pageFields,
  success: Page(Member),
  error: [InvalidRequest, NotFound, Unavailable]
}).annotateMerge(OpenApi.annotations({ summary: "Members", description: "In the order in which they joined." }))

const Added = Schema.Struct({ items: Schema.Array(Member) }).annotate({ identifier: "AddedMembers" })

const add = HttpApiEndpoint.post("add", "/v1/conversations/:id/members", {
  params: conversationParams,
  payload: NewMembers,
  success: [Added.pipe(HttpApiSchema.status(201)), Added.pipe(HttpApiSchema.status(200))],
  error: [InvalidRequest, Forbidden, NotFound, Conflict, RateLimited, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Add members",
      description:
        "All of them or none; answers each of the users as a member. Those who are members already stay as they are: 200 when all are, else 201. Owners and admins may (403 for others, and when one of the users has blocked me). 404 also when one of them does not exist, 409 `not-a-group` for a direct conversation and `group-full` when there is no room."
    })
  )

const update = HttpApiEndpoint.patch("update", "/v1/conversations/:id/members/:userId", {
  params: memberParams,
  payload: RoleChange,
  success: Member,
  error: [InvalidRequest, Forbidden, NotFound, Conflict, RateLimited, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Change a member's role",
      description:
        "Owners may (403 for others). 409 `last-owner` when that would leave the group without an owner, `not-a-group` for a direct conversation."
    })
  )

const leave = HttpApiEndpoint.delete("leave", "/v1/conversations/:id/members/me", {
  params: conversationParams,
  success: HttpApiSchema.NoContent,
  error: [Forbidden, NotFound, Conflict, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Leave a group",
    description:
      "The last owner hands over to the admin, or else the member, who has been there longest. With its last member the group is closed. 409 `not-a-group` for a direct conversation."
  })
)

const remove = HttpApiEndpoint.delete("remove", "/v1/conversations/:id/members/:userId", {
  params: memberParams,
  success: HttpApiSchema.NoContent,
  error: [Forbidden, NotFound, Conflict, RateLimited, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Remove a member",
    description:
      "Owners may remove anybody, admins only members (else 403). Who was removed can come back only by being added. Succeeds also for one who is gone already; 404 for one who never was a member, 409 `not-a-group` for a direct conversation. With my own id it is leaving."
  })
)

export class MemberGroup extends HttpApiGroup.make("member")
  .add(list, add, update, leave, remove)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "Who is in a conversation" })) {}
