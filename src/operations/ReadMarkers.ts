import { DeliveredMark, ReadMark } from "../domain/Conversation.ts"
import { InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { conversation } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

/** The operations on the caller's markers in a conversation. */
export const ReadMarkers = feature(
  { read: "How far I have read" },
  operation("read.mark", {
    http: "PUT /v1/conversations/:conversationId/read",
    params: conversation,
    payload: ReadMark,
    problems: [InvalidRequest, NotFound, Unavailable],
    summary: "Mark as read",
    description:
      "Moves my read marker forward to `seq`, at most to the last event; with `force` it may go back, which marks messages as unread. A mark that moves nothing succeeds too."
  }),
  operation("delivered.mark", {
    params: conversation,
    payload: DeliveredMark,
    problems: [InvalidRequest, NotFound, Unavailable],
    summary: "Mark as delivered",
    description:
      "Says up to which `seq` messages have reached one of my devices. Reading implies it. A mark that moves nothing succeeds too."
  })
)
