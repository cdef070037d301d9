import { Schema } from "effect"
import { Sse } from "effect/encoding"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { EventPage } from "../domain/Event.ts"
import { Seq } from "../domain/Ids.ts"
import { Message, MessagePage, NewMessage } from "../domain/Message.ts"
import { limitFields, Page, pageFields, placeFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { MessageSearch } from "../domain/Search.ts"
import { Synced, SyncRequest } from "../domain/Sync.ts"
import { edit, forward, pin, remove, revisions, unpin } from "./MessageChangeApi.ts"
import { sentBefore, sentNow } from "./MessageSent.ts"
import { Authorization, JsonBody } from "./Middleware.ts"
import { conversationParams, messageParams } from "./Params.ts"
import { unvote, vote } from "./PollApi.ts"

const send = HttpApiEndpoint.post("send", "/v1/conversations/:id/messages", {
  params: conversationParams,
  payload: NewMessage,
  success: [sentNow, sentBefore],
  error: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Send a message",
      description:
        "Answers once the message is stored for good. Retrying with the same `clientMessageId` is safe for ever: 200 with the original and `duplicate: true`. The same id for another message is a 409 `message-id-reused`. After 503 or a lost answer, retry with the same id. 403 when the other one of a direct conversation has blocked me. `threadRoot` makes it a reply in the thread of that message, or of the one that it replies to. Members are mentioned by `@username`, everybody by an owner's or admin's `@all`. A `type` other than `text` has its `payload`, and its body may be empty."
    })
  )

const seq = Schema.optionalKey(Seq)

const list = HttpApiEndpoint.get("list", "/v1/conversations/:id/messages", {
  params: conversationParams,
  query: {
    ...placeFields,
    threads: Schema.optionalKey(Schema.Boolean).annotate({ description: "With the replies in threads" })
  },
  success: MessagePage,
  error: [InvalidRequest, NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "History",
    description:
      "The newest page unless one of `before`, `after` and `around` says otherwise; always in ascending `seq`. Replies in threads are left out unless `threads` is true."
  })
)

const get = HttpApiEndpoint.get("get", "/v1/conversations/:id/messages/:messageId", {
  params: messageParams,
  success: Message,
  error: [NotFound, Unavailable]
}).annotateMerge(OpenApi.annotations({ summary: "A message", description: "As it is now." }))

const search = HttpApiEndpoint.get("search", "/v1/search/messages", {
  query: { ...pageFields, ...MessageSearch.fields },
  success: Page(Message),
  error: [InvalidRequest, NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Search messages",
    description:
      "Full text over what I may see, in all of my conversations or in one (404 when it is not mine). Whole words in any case, without stemming; deleted messages are not found. Ranked a thousand at a time: the newest thousand matches, best first and of two alike the newer, then the thousand before those. A page may have fewer items than `limit` while there is a `nextCursor`."
  })
)

export class MessageGroup extends HttpApiGroup.make("message")
  .add(send, list, get, edit, remove, revisions, forward, pin, unpin, search, vote, unvote)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "Messages of a conversation" })) {}

const pull = HttpApiEndpoint.get("pull", "/v1/conversations/:id/events", {
  params: conversationParams,
  query: { ...limitFields, after: seq },
  success: EventPage,
  error: [InvalidRequest, NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "The log",
    description:
      "Every durable change of a conversation in the order of `seq`, without holes. `head` is the last seq: go on while the last item is below it."
  })
)

const sync = HttpApiEndpoint.post("sync", "/v1/sync", {
  payload: SyncRequest,
  success: Synced.pipe(HttpApiSchema.status(200)),
  error: [InvalidRequest, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "What a client lacks",
      description:
        "Compares the cursors of a client that comes back with where its user is a member now. The list of conversations may miss what moves while it is paged: this closes it."
    })
  )

const stream = HttpApiEndpoint.get("stream", "/v1/events", {
  headers: { "last-event-id": Schema.optionalKey(Schema.String.check(Schema.isMaxLength(4096))) },
  success: HttpApiSchema.StreamSse({ events: Sse.EventEncoded }),
  error: [InvalidRequest, RateLimited, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Live events as Server-Sent Events",
    description:
      "`event` is the name, `data` the JSON object that a WebSocket would get, `id` an opaque cursor over all conversations: `Last-Event-ID` goes on after it on any node. Without one the stream starts with the list of conversations."
  })
)

export class EventGroup extends HttpApiGroup.make("events")
  .add(pull, sync, stream)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "The log of a conversation, and what is new" })) {}
