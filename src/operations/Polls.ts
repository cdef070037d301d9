import { Vote } from "../domain/Payload.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { message } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

/** The operations on polls. */
export const Polls = feature(
  {},
  operation("message.vote", {
    http: "PUT /v1/conversations/:conversationId/messages/:messageId/vote",
    params: message,
    payload: Vote,
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable],
    summary: "Vote in a poll",
    description:
      "My vote becomes these options and replaces the one before; several options only where the poll is `multiple`. The same vote again succeeds and changes nothing. 409 `poll-closed` after the poll's `closesAt`, 409 `not-a-poll` for another message. 403 when the other user of a direct conversation has blocked me."
  }),
  operation("message.unvote", {
    http: "DELETE /v1/conversations/:conversationId/messages/:messageId/vote",
    params: message,
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable],
    summary: "Remove my vote",
    description: "Succeeds also when I have not voted. 403 and 409 as for a vote."
  })
)
