import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import {
  Conversation,
  DeliveredMark,
  IdempotencyKey,
  Member,
  NewDirect,
  NewGroup,
  ReadMark
} from "../domain/Conversation.ts"
import { ConversationId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { SignedIn } from "./Callers.ts"

const conversationId = ConversationId

export const ConversationRpcs = RpcGroup.make(
  Rpc.make("conversation.create", {
    payload: Schema.Union([
      NewDirect,
      Schema.Struct({ ...NewGroup.fields, idempotencyKey: Schema.optionalKey(IdempotencyKey) })
    ]),
    success: Conversation,
    error: Schema.Union([InvalidRequest, Forbidden, NotFound, Conflict, Unavailable])
  }),
  Rpc.make("conversation.list", {
    payload: pageFields,
    success: Page(Conversation),
    error: Schema.Union([InvalidRequest, Unavailable])
  }),
  Rpc.make("conversation.get", {
    payload: { conversationId },
    success: Conversation,
    error: Schema.Union([NotFound, Unavailable])
  }),
  Rpc.make("member.list", {
    payload: { conversationId, ...pageFields },
    success: Page(Member),
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  }),
  Rpc.make("read.mark", {
    payload: { conversationId, ...ReadMark.fields },
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  }),
  Rpc.make("delivered.mark", {
    payload: { conversationId, ...DeliveredMark.fields },
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  }),
  Rpc.make("typing.start", { payload: { conversationId }, error: Schema.Union([NotFound, Unavailable]) }),
  Rpc.make("typing.stop", { payload: { conversationId }, error: Schema.Union([NotFound, Unavailable]) })
).middleware(SignedIn)
