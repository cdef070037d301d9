import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { IdempotencyKey } from "../domain/Conversation.ts"
import { ScheduledMessageId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { NewScheduledMessage, ScheduledMessage, ScheduledMessageChange } from "../domain/ScheduledMessage.ts"
import { SignedIn } from "./Callers.ts"

const scheduledMessageId = ScheduledMessageId

export const ScheduledMessageRpcs = RpcGroup.make(
  Rpc.make("scheduled.create", {
    payload: { ...NewScheduledMessage.fields, idempotencyKey: Schema.optionalKey(IdempotencyKey) },
    success: ScheduledMessage,
    error: Schema.Union([InvalidRequest, NotFound, Conflict, Unavailable])
  }),
  Rpc.make("scheduled.list", {
    payload: pageFields,
    success: Page(ScheduledMessage),
    error: Schema.Union([InvalidRequest, Unavailable])
  }),
  Rpc.make("scheduled.get", {
    payload: { scheduledMessageId },
    success: ScheduledMessage,
    error: Schema.Union([NotFound, Unavailable])
  }),
  Rpc.make("scheduled.update", {
    payload: { scheduledMessageId, ...ScheduledMessageChange.fields },
    success: ScheduledMessage,
    error: Schema.Union([InvalidRequest, NotFound, Conflict, Unavailable])
  }),
  Rpc.make("scheduled.cancel", {
    payload: { scheduledMessageId },
    error: Schema.Union([NotFound, Conflict, Unavailable])
  })
).middleware(SignedIn)
