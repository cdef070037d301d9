import { Message } from "../domain/Message.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { conversation, message } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

/** The operations on pinned messages. */
export const Pins = feature(
  { pin: "Pinned messages of a conversation" },
  operation("message.pin", {
    http: "PUT /v1/conversations/:conversationId/messages/:messageId/pin",
    params: message,
    problems: [Forbidden, NotFound, Conflict, Unavailable],
    summary: "Pin a message",
    description:
      "In a direct conversation both users may pin, except one whom the other has blocked (403); in a group owners and admins may, and others get a 403. Repeating it changes nothing. 409 `message-deleted` when the message is deleted."
  }),
  operation("message.unpin", {
    http: "DELETE /v1/conversations/:conversationId/messages/:messageId/pin",
    params: message,
    problems: [Forbidden, NotFound, Unavailable],
    summary: "Unpin a message",
    description: "Those who may pin may unpin. Repeating it changes nothing."
  }),
  operation("pin.list", {
    http: "GET /v1/conversations/:conversationId/pins",
    params: conversation,
    query: pageFields,
    success: Page(Message),
    problems: [InvalidRequest, NotFound, RateLimited, Unavailable],
    summary: "List pinned messages",
    description: "Lists the pinned messages that I may see, the latest message first."
  })
)
