import { Schema } from "effect"
import { HttpApiSchema } from "effect/http-api"
import { Member, NewMembers, RoleChange } from "../domain/Conversation.ts"
import { UserId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { conversation } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

const member = { ...conversation, userId: UserId }

const Added = Schema.Struct({ items: Schema.Array(Member) }).annotate({ identifier: "AddedMembers" })

/** The operations on the members of a conversation. */
export const Members = feature(
  { member: "Members of a conversation" },
  operation("member.list", {
    http: "GET /v1/conversations/:conversationId/members",
    params: conversation,
    query: pageFields,
    success: Page(Member),
    problems: [InvalidRequest, NotFound, RateLimited, Unavailable],
    summary: "List members",
    description: "Lists the members in the order in which they joined."
  }),
  operation("member.add", {
    http: "POST /v1/conversations/:conversationId/members",
    params: conversation,
    payload: NewMembers,
    success: Added,
    // Only the status says whether any of the users is new.
    overHttp: { success: [Added.pipe(HttpApiSchema.status(201)), Added.pipe(HttpApiSchema.status(200))] },
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, RateLimited, Unavailable],
    summary: "Add members",
    description:
      "Adds all of the users or none, and returns each of them as a member. Current members stay as they are: 200 when all of the users are members already, else 201. Owners and admins may do this (403 for others, and when one of the users has blocked me). 404 also when one of the users does not exist, 409 `not-a-group` for a direct conversation and `group-full` when there is no room. Users with whom I share no conversation yet count against my first contacts of the day (429)."
  }),
  operation("member.update", {
    http: "PATCH /v1/conversations/:conversationId/members/:userId",
    params: member,
    payload: RoleChange,
    success: Member,
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, RateLimited, Unavailable],
    summary: "Change a member's role",
    description:
      "Owners may do this (403 for others). 409 `last-owner` when that would leave the group without an owner, `not-a-group` for a direct conversation."
  }),
  operation("member.leave", {
    http: "DELETE /v1/conversations/:conversationId/members/me",
    params: conversation,
    problems: [Forbidden, NotFound, Conflict, Unavailable],
    summary: "Leave a group",
    description:
      "When the last owner leaves, the admin, or else the member, who joined first becomes the owner. When the last member leaves, the group is closed. 409 `not-a-group` for a direct conversation."
  }),
  operation("member.remove", {
    http: "DELETE /v1/conversations/:conversationId/members/:userId",
    params: member,
    problems: [Forbidden, NotFound, Conflict, RateLimited, Unavailable],
    summary: "Remove a member",
    description:
      "Owners may remove anybody, admins only members (else 403). A user who was removed can only return by being added again. Succeeds also when the user has left or was removed before; 404 when the user never was a member, 409 `not-a-group` for a direct conversation. With my own id I leave."
  })
)
