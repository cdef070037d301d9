import { HttpApiEndpoint, HttpApiSchema, OpenApi } from "effect/http-api"
import { Vote } from "../domain/Payload.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { JsonBody } from "./Middleware.ts"
import { messageParams } from "./Params.ts"

export const vote = HttpApiEndpoint.put("vote", "/v1/conversations/:id/messages/:messageId/vote", {
  params: messageParams,
  payload: Vote,
  success: HttpApiSchema.NoContent,
  error: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Vote in a poll",
      description:
        "My vote becomes these options, in place of what it was; several only where the poll is `multiple`. The same vote again succeeds and changes nothing. 409 `poll-closed` after its `closesAt`, 409 `not-a-poll` for another message. 403 when the other one of a direct conversation has blocked me."
    })
  )

export const unvote = HttpApiEndpoint.delete("unvote", "/v1/conversations/:id/messages/:messageId/vote", {
  params: messageParams,
  success: HttpApiSchema.NoContent,
  error: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Take back my vote",
    description: "Succeeds also when I have not voted. Also when I am blocked. 409 as for a vote."
  })
)
