import { Message } from "../domain/Message.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { message } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

/** The operations on the caller's saved messages. */
export const Stars = feature(
  { star: "Messages that I have saved" },
  operation("message.star", {
    http: "PUT /v1/conversations/:conversationId/messages/:messageId/star",
    params: message,
    problems: [NotFound, Conflict, Unavailable],
    summary: "Save a message",
    description:
      "Saves the message for me alone; all of my devices get `star.updated`. Repeating it changes nothing. 409 `message-deleted` when the message is deleted."
  }),
  operation("message.unstar", {
    http: "DELETE /v1/conversations/:conversationId/messages/:messageId/star",
    params: message,
    problems: [NotFound, Unavailable],
    summary: "Remove a saved message",
    description: "Succeeds also when the message is not saved."
  }),
  operation("star.list", {
    http: "GET /v1/stars",
    query: pageFields,
    success: Page(Message),
    problems: [InvalidRequest, RateLimited, Unavailable],
    summary: "List my saved messages",
    description:
      "Lists the messages of all conversations that I have saved, the last one saved first. Deleted and hidden messages are left out, and so are those that I may not see any longer."
  })
)
