import { ScheduledMessageId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { NewScheduledMessage, ScheduledMessage, ScheduledMessageChange } from "../domain/ScheduledMessage.ts"
import { feature, operation } from "./Operation.ts"

const scheduledMessage = { scheduledMessageId: ScheduledMessageId }

/** The operations on the caller's scheduled messages. */
export const ScheduledMessages = feature(
  { scheduled: "Messages that are sent later" },
  operation("scheduled.create", {
    http: "POST /v1/scheduled-messages",
    payload: NewScheduledMessage,
    idempotencyKey: "Makes the creation safe to retry until the message is sent",
    success: ScheduledMessage,
    status: 201,
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable],
    summary: "Schedule a message",
    description:
      "At `sendAt` the message is sent as I would send it then, with its `id` as `clientMessageId`; after that it is no longer scheduled. `sendAt` lies in the future and within a year. 403 when the other user of a direct conversation has blocked me. 409 `too-many-scheduled` when I have 100, `idempotency-key-reused` when the key was used for another scheduled message."
  }),
  operation("scheduled.list", {
    http: "GET /v1/scheduled-messages",
    query: pageFields,
    success: Page(ScheduledMessage),
    problems: [InvalidRequest, RateLimited, Unavailable],
    summary: "List my scheduled messages",
    description:
      "Lists the message that is due next first. Messages that were refused when they were due stay as `failed`, with the reason."
  }),
  operation("scheduled.get", {
    http: "GET /v1/scheduled-messages/:scheduledMessageId",
    params: scheduledMessage,
    success: ScheduledMessage,
    problems: [NotFound, Unavailable],
    summary: "Get a scheduled message",
    description: "404 also when the message has been sent."
  }),
  operation("scheduled.update", {
    http: "PATCH /v1/scheduled-messages/:scheduledMessageId",
    params: scheduledMessage,
    payload: ScheduledMessageChange,
    success: ScheduledMessage,
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable],
    summary: "Change a scheduled message",
    description:
      "A new `sendAt` schedules a failed message again. 403 when the other user of a direct conversation has blocked me. 409 `already-sending` once the service has begun to send the message."
  }),
  operation("scheduled.cancel", {
    http: "DELETE /v1/scheduled-messages/:scheduledMessageId",
    params: scheduledMessage,
    problems: [NotFound, Conflict, Unavailable],
    summary: "Cancel a scheduled message",
    description:
      "After a 204 the message is not sent. 409 `already-sending` once the service has begun to send it, 404 when it has been sent."
  })
)
