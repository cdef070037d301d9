import { ExternalKey } from "../domain/ExternalId.ts"
import { InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { ServerConversation, ServerGroup } from "../domain/ServerConversation.ts"
import { feature, operation } from "./Operation.ts"

const group = { externalKey: ExternalKey }

/** The operations of an application on its own groups. */
export const ServerConversations = feature(
  {},
  operation("server.upsertConversation", {
    http: "PUT /v1/server/conversations/:externalKey",
    params: group,
    payload: ServerGroup,
    success: ServerConversation,
    problems: [InvalidRequest, NotFound, Unavailable],
    scope: "conversations",
    summary: "Make or update a group",
    description:
      "`externalKey` is the name of the group at the application, such as the number of an order. The first request makes the group, whoever asks at the same time, and a later one makes it what the request says, with the usual events; repeating it changes nothing. `memberIds` are all members from then on: others are removed. The first member of a new group is its owner, and later changes are made in the name of the owner who joined first. Blocks and `whoMayAddMe` keep nobody out. 404, and nothing is changed, when one of the users does not exist."
  }),
  operation("server.getConversation", {
    http: "GET /v1/server/conversations/:externalKey",
    params: group,
    success: ServerConversation,
    problems: [NotFound, Unavailable],
    scope: "conversations",
    summary: "Get a group",
    description: "404 for a group that was never made, and for one that is deleted."
  })
)
