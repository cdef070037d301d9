import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { EventPage } from "../domain/Event.ts"
import { ConversationId, MessageId, Seq } from "../domain/Ids.ts"
import { Message, MessagePage, NewMessage, Sent } from "../domain/Message.ts"
import { limitFields, Page, pageFields, placeFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { MessageSearch } from "../domain/Search.ts"
import { Synced, SyncRequest } from "../domain/Sync.ts"
import { SignedIn } from "./Callers.ts"

const conversationId = ConversationId
const seq = Schema.optionalKey(Seq)

export const MessageRpcs = RpcGroup.make(
  Rpc.make("message.send", {
    payload: { conversationId, ...NewMessage.fields },
    success: Sent,
    error: Schema.Union([InvalidRequest, Forbidden, NotFound, Conflict, Unavailable])
  }),
  Rpc.make("message.list", {
    payload: { conversationId, ...placeFields, threads: Schema.optionalKey(Schema.Boolean) },
    success: MessagePage,
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  }),
  Rpc.make("message.get", {
    payload: { conversationId, messageId: MessageId },
    success: Message,
    error: Schema.Union([NotFound, Unavailable])
  }),
  Rpc.make("message.search", {
    payload: { ...MessageSearch.fields, ...pageFields },
    success: Page(Message),
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  }),
  Rpc.make("events.pull", {
    payload: { conversationId, ...limitFields, after: seq },
    success: EventPage,
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  }),
  Rpc.make("events.sync", {
    payload: SyncRequest,
    success: Synced,
    error: Schema.Union([InvalidRequest, Unavailable])
  })
).middleware(SignedIn)
