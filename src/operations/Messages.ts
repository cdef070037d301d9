import { Schema } from "effect"
import { HttpApiSchema } from "effect/http-api"
import { Forward, Message, MessageEdit, MessagePage, NewMessage, Revision, Sent } from "../domain/Message.ts"
import { Page, pageFields, placeFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { conversation, message } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

const sent = <Duplicate extends boolean>(duplicate: Duplicate, identifier: string) =>
  Schema.Struct({ ...Sent.fields, duplicate: Schema.Literal(duplicate) }).annotate({ identifier })

/** The answers to a send over HTTP: 201 when the message is new, 200 when its id was stored before. */
const sentOverHttp = [
  sent(false, "SentNow").pipe(HttpApiSchema.status(201)),
  sent(true, "SentBefore").pipe(HttpApiSchema.status(200))
] as const

/** The operations on messages. */
export const Messages = feature(
  { message: "Messages of a conversation" },
  operation("message.send", {
    http: "POST /v1/conversations/:conversationId/messages",
    params: conversation,
    payload: NewMessage,
    success: Sent,
    overHttp: { success: sentOverHttp },
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable],
    summary: "Send a message",
    description:
      "Answers once the message is stored durably. Retrying with the same `clientMessageId` is always safe: the answer is 200 with the original and `duplicate: true`. The same id for another message is a 409 `message-id-reused`. After a 503 or a lost answer, retry with the same id. 403 when the other user of a direct conversation has blocked me. With `threadRoot` the message becomes a reply in the thread of that message, or of the message that it replies to. `@username` mentions a member; `@all`, written by an owner or an admin, mentions everybody. A message of another `type` than `text` carries its `payload`, and its body may be empty."
  }),
  operation("message.list", {
    http: "GET /v1/conversations/:conversationId/messages",
    params: conversation,
    query: {
      ...placeFields,
      threads: Schema.optionalKey(Schema.Boolean).annotate({ description: "Whether to include the replies in threads" })
    },
    success: MessagePage,
    asIs: true,
    problems: [InvalidRequest, NotFound, RateLimited, Unavailable],
    summary: "List messages",
    description:
      "Returns the newest page unless one of `before`, `after` and `around` is given; always in ascending `seq`. Replies in threads are left out unless `threads` is true."
  }),
  operation("message.get", {
    http: "GET /v1/conversations/:conversationId/messages/:messageId",
    params: message,
    success: Message,
    problems: [NotFound, Unavailable],
    summary: "Get a message",
    description: "Returns the message in its current state."
  }),
  operation("message.edit", {
    http: "PATCH /v1/conversations/:conversationId/messages/:messageId",
    params: message,
    payload: MessageEdit,
    success: Message,
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable],
    summary: "Edit a message",
    description:
      "Replaces the body of my message. The previous body stays readable as a revision, and the mentions are determined again. The same body again changes nothing. 403 for others' messages and after `limits.edit_window`, 409 `message-deleted` when the message is deleted. A message can be edited 100 times (409 `too-many-edits`)."
  }),
  operation("message.delete", {
    http: "DELETE /v1/conversations/:conversationId/messages/:messageId",
    params: message,
    // `message.hide` has the same path.
    overHttp: {
      query: { for: Schema.optionalKey(Schema.Literal("me")).annotate({ description: "Hide it for me alone" }) }
    },
    problems: [InvalidRequest, Forbidden, NotFound, Unavailable],
    summary: "Delete a message",
    description:
      "Deletes the message for everybody: it keeps its place, but loses its body, revisions, excerpts, reactions and pin. I may delete my own messages; in a group an owner may delete anybody's and an admin those of members; else 403. With `for=me`, which works for any message that I see, the message is only left out of my history, search, last message and unread count. Repeating it succeeds."
  }),
  operation("message.hide", {
    params: message,
    problems: [InvalidRequest, NotFound, Unavailable],
    summary: "Hide a message for me alone",
    description:
      "Hides any message that I see from my history, search, last message and unread count. Over HTTP this is deleting with `for=me`. Repeating it succeeds."
  }),
  operation("message.revisions", {
    http: "GET /v1/conversations/:conversationId/messages/:messageId/revisions",
    params: message,
    query: pageFields,
    success: Page(Revision),
    problems: [InvalidRequest, NotFound, RateLimited, Unavailable],
    summary: "List the revisions of a message",
    description:
      "Lists every body that the message had and since when, the current one first. The list of a deleted message is empty."
  }),
  operation("message.forward", {
    http: "POST /v1/conversations/:conversationId/messages/:messageId/forward",
    params: message,
    payload: Schema.Struct({
      toConversationId: Forward.fields.conversationId,
      clientMessageId: Forward.fields.clientMessageId
    }),
    success: Sent,
    // Over HTTP the target is in the body, apart from the path, so it can have the plain name `conversationId`.
    overHttp: { payload: Forward, success: sentOverHttp },
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable],
    summary: "Forward a message",
    description:
      "Sends a copy as my own message to a conversation that I am a member of. A retry with the same `clientMessageId` returns the copy, even if the original has changed since. 409 `message-deleted` when the original is deleted."
  })
)
