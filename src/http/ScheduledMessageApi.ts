import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { IdempotencyKey } from "../domain/Conversation.ts"
import { ScheduledMessageId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { NewScheduledMessage, ScheduledMessage, ScheduledMessageChange } from "../domain/ScheduledMessage.ts"
import { Authorization, JsonBody } from "./Middleware.ts"

const params = { id: ScheduledMessageId }

const create = HttpApiEndpoint.post("create", "/v1/scheduled-messages", {
  headers: {
    "idempotency-key": Schema.optionalKey(IdempotencyKey).annotate({
      description: "Makes the creation safe to retry until the message is sent"
    })
  },
  payload: NewScheduledMessage,
  success: ScheduledMessage.pipe(HttpApiSchema.status(201)),
  error: [InvalidRequest, NotFound, Conflict, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Schedule a message",
      description:
        "It is sent at `sendAt` as I would send it then, with its `id` as `clientMessageId`; from then on it is no longer here. `sendAt` lies in the future and within a year. 409 `too-many-scheduled` when I have 100, `idempotency-key-reused` when the key stands for another one."
    })
  )

const list = HttpApiEndpoint.get("list", "/v1/scheduled-messages", {
  query: pageFields,
  success: Page(ScheduledMessage),
  error: [InvalidRequest, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "My scheduled messages",
    description: "The next one first. Those that were refused when their time came stay as `failed`, with the reason."
  })
)

const get = HttpApiEndpoint.get("get", "/v1/scheduled-messages/:id", {
  params,
  success: ScheduledMessage,
  error: [NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({ summary: "A scheduled message", description: "404 also when it has been sent." })
)

const update = HttpApiEndpoint.patch("update", "/v1/scheduled-messages/:id", {
  params,
  payload: ScheduledMessageChange,
  success: ScheduledMessage,
  error: [InvalidRequest, NotFound, Conflict, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Change a scheduled message",
      description:
        "A failed one is scheduled again, with a new `sendAt`. 409 `already-sending` from the first attempt to send it on."
    })
  )

const cancel = HttpApiEndpoint.delete("cancel", "/v1/scheduled-messages/:id", {
  params,
  error: [NotFound, Conflict, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Cancel a scheduled message",
    description: "After a 204 it is not sent. 409 `already-sending` when that has begun, 404 when it has been sent."
  })
)

export class ScheduledMessageGroup extends HttpApiGroup.make("scheduled")
  .add(create, list, get, update, cancel)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "Messages that are sent later" })) {}
