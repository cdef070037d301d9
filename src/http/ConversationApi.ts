import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import {
  Conversation,
  ConversationChange,
  IdempotencyKey,
  Membership,
  NewConversation,
  ReadMark,
  SettingsChange
} from "../domain/Conversation.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { Authorization, JsonBody } from "./Middleware.ts"
import { conversationParams } from "./Params.ts"

const create = HttpApiEndpoint.post("create", "/v1/conversations", {
  headers: {
    "idempotency-key": Schema.optionalKey(IdempotencyKey).annotate({
      description: "Makes the creation of a group safe to retry for 24 hours"
    })
  },
  payload: NewConversation,
  success: [Conversation.pipe(HttpApiSchema.status(201)), Conversation.pipe(HttpApiSchema.status(200))],
  error: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Start a conversation",
      description:
        "There is one direct conversation per pair of users, for ever: 200 with it when it exists, 201 when it is new; with myself it holds my notes. A group is new each time (201), but once per `Idempotency-Key`. 403 when one of its members has blocked me; a direct conversation with somebody who has can be opened, but what I send there is a 403."
    })
  )

const list = HttpApiEndpoint.get("list", "/v1/conversations", {
  query: pageFields,
  success: Page(Conversation),
  error: [InvalidRequest, Unavailable]
}).annotateMerge(
  OpenApi.annotations({ summary: "My conversations", description: "Those with the latest activity first." })
)

const get = HttpApiEndpoint.get("get", "/v1/conversations/:id", {
  params: conversationParams,
  success: Conversation,
  error: [NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({ summary: "A conversation", description: "404 also for one that I am not a member of." })
)

const update = HttpApiEndpoint.patch("update", "/v1/conversations/:id", {
  params: conversationParams,
  payload: ConversationChange,
  success: Conversation,
  error: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Change a group",
      description:
        "Changes the fields that are given; `avatarUrl: null` removes the picture. Owners and admins may (403 for others), `historyForNewMembers` and `messageLifetimeSeconds` are for owners. The first changes nothing for those who are members. All members get `conversation.updated` with what has changed. With `messageLifetimeSeconds` (5 to a year, null for ever) every message that is sent from then on is deleted after that time, as if its sender had done it. In a direct conversation both may set that, and 409 `not-a-group` is the answer to the rest."
    })
  )

const settings = HttpApiEndpoint.patch("settings", "/v1/conversations/:id/settings", {
  params: conversationParams,
  payload: SettingsChange,
  success: Membership,
  error: [InvalidRequest, NotFound, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Change my settings of a conversation",
      description:
        "Mine alone, on all my devices: these get `conversation.settings`. `mutedUntil: null` ends the quiet. Answers my whole side of the conversation."
    })
  )

export class ConversationGroup extends HttpApiGroup.make("conversation")
  .add(create, list, get, update, settings)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "Direct and group conversations" })) {}

const mark = HttpApiEndpoint.put("mark", "/v1/conversations/:id/read", {
  params: conversationParams,
  payload: ReadMark,
  error: [InvalidRequest, NotFound, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Mark as read",
      description:
        "Moves my read marker forward to `seq`, at most to the last event; with `force` it may go back, which marks as unread. A mark that moves nothing succeeds too."
    })
  )

export class ReadGroup extends HttpApiGroup.make("read")
  .add(mark)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "How far I have read" })) {}

const TypingState = Schema.Struct({
  state: Schema.optionalKey(Schema.Literals(["started", "stopped"]))
}).annotate({ identifier: "TypingState" })

const start = HttpApiEndpoint.post("start", "/v1/conversations/:id/typing", {
  params: conversationParams,
  payload: [TypingState, Schema.Null],
  error: [InvalidRequest, NotFound, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Say that I am typing",
      description:
        'Tells the other members who are connected. Repeat it every few seconds; `{"state":"stopped"}` takes it back. The body may be left out.'
    })
  )

export class TypingGroup extends HttpApiGroup.make("typing")
  .add(start)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "Who is typing" })) {}
