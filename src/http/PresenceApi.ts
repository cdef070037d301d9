import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { PresenceChange, PresenceList } from "../domain/Presence.ts"
import { InvalidRequest, Unavailable } from "../domain/Problem.ts"
import { Authorization, JsonBody } from "./Middleware.ts"

const get = HttpApiEndpoint.get("get", "/v1/presence", {
  query: {
    userIds: Schema.Union([Schema.String, Schema.Array(Schema.String)]).annotate({
      description: "Ids of users, separated by commas or given one by one"
    })
  },
  success: PresenceList,
  error: [InvalidRequest, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Who is there",
    description:
      "One answer for each user asked for. Users who share no conversation with me are offline, as if never seen."
  })
)

const set = HttpApiEndpoint.put("set", "/v1/presence", {
  payload: PresenceChange,
  success: HttpApiSchema.NoContent,
  error: [InvalidRequest, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Set my status",
      description: "For all my devices, until it is set again. `invisible` shows as offline to others."
    })
  )

export class PresenceGroup extends HttpApiGroup.make("presence")
  .add(get, set)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "Who is there" })) {}
