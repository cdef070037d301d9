import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { EventPage } from "../domain/Event.ts"
import { MessageId, Seq } from "../domain/Ids.ts"
import { Message, MessagePage, NewMessage, Sent } from "../domain/Message.ts"
import { Conflict, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { Authorization, JsonBody } from "./Middleware.ts"
import { conversationParams, limitQuery } from "./Paging.ts"

const sent = <Duplicate extends boolean>(duplicate: Duplicate, identifier: string) =>
  Schema.Struct({ ...Sent.fields, duplicate: Schema.Literal(duplicate) }).annotate({ identifier })

const send = HttpApiEndpoint.post("send", "/v1/conversations/:id/messages", {
  params: conversationParams,
  payload: NewMessage,
  success: [
    sent(false, "SentNow").pipe(HttpApiSchema.status(201)),
    sent(true, "SentBefore").pipe(HttpApiSchema.status(200))
  ],
  error: [InvalidRequest, NotFound, Conflict, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Send a message",
      description:
        "Answers once the message is stored for good. Retrying with the same `clientMessageId` is safe for ever: 200 with the original and `duplicate: true`. The same id for another message is a 409 `message-id-reused`. After 503 or a lost answer, retry with the same id."
    })
  )

const seqOf = (description: string) => Schema.optionalKey(Seq).annotate({ description })

const list = HttpApiEndpoint.get("list", "/v1/conversations/:id/messages", {
  params: conversationParams,
  query: {
    ...limitQuery,
    before: seqOf("Only messages before this seq"),
    after: seqOf("Only messages after this seq"),
    around: seqOf("The message of this seq in the middle")
  },
  success: MessagePage,
  error: [InvalidRequest, NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "History",
    description:
      "The newest page unless one of `before`, `after` and `around` says otherwise; always in ascending `seq`."
  })
)

const get = HttpApiEndpoint.get("get", "/v1/conversations/:id/messages/:messageId", {
  params: { ...conversationParams, messageId: MessageId },
  success: Message,
  error: [NotFound, Unavailable]
}).annotateMerge(OpenApi.annotations({ summary: "A message", description: "As it is now." }))

export class MessageGroup extends HttpApiGroup.make("message")
  .add(send, list, get)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "Messages of a conversation" })) {}

const events = HttpApiEndpoint.get("list", "/v1/conversations/:id/events", {
  params: conversationParams,
  query: { ...limitQuery, after: seqOf("Only events after this seq; 0, or left out, for all") },
  success: EventPage,
  error: [InvalidRequest, NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "The log",
    description:
      "Every durable change of a conversation in the order of `seq`, without holes. `head` is the last seq: go on while the last item is below it."
  })
)

export class EventGroup extends HttpApiGroup.make("event")
  .add(events)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "The log of a conversation" })) {}
