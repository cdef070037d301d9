import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { Emoji } from "../domain/Emoji.ts"
import { ConversationId, MessageId } from "../domain/Ids.ts"
import { Forward, Message, MessageEdit, Revision, Sent } from "../domain/Message.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { SignedIn } from "./Callers.ts"

const message = { conversationId: ConversationId, messageId: MessageId }
const { clientMessageId, conversationId: toConversationId } = Forward.fields

export const MessageChangeRpcs = RpcGroup.make(
  Rpc.make("message.edit", {
    payload: { ...message, ...MessageEdit.fields },
    success: Message,
    error: Schema.Union([InvalidRequest, Forbidden, NotFound, Conflict, Unavailable])
  }),
  Rpc.make("message.delete", {
    payload: message,
    error: Schema.Union([InvalidRequest, Forbidden, NotFound, Unavailable])
  }),
  Rpc.make("message.hide", { payload: message, error: Schema.Union([InvalidRequest, NotFound, Unavailable]) }),
  Rpc.make("message.revisions", {
    payload: { ...message, ...pageFields },
    success: Page(Revision),
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  }),
  /** `conversationId` is that of the message, as in the path of HTTP; the copy goes to `toConversationId`. */
  Rpc.make("message.forward", {
    payload: { ...message, toConversationId, clientMessageId },
    success: Sent,
    error: Schema.Union([InvalidRequest, Forbidden, NotFound, Conflict, Unavailable])
  }),
  Rpc.make("message.pin", {
    payload: message,
    error: Schema.Union([InvalidRequest, Forbidden, NotFound, Conflict, Unavailable])
  }),
  Rpc.make("message.unpin", {
    payload: message,
    error: Schema.Union([InvalidRequest, Forbidden, NotFound, Unavailable])
  })
).middleware(SignedIn)

export const ReactionRpcs = RpcGroup.make(
  Rpc.make("reaction.add", {
    payload: { ...message, emoji: Emoji },
    error: Schema.Union([InvalidRequest, Forbidden, NotFound, Conflict, Unavailable])
  }),
  Rpc.make("reaction.remove", {
    payload: { ...message, emoji: Emoji },
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  }),
  Rpc.make("pin.list", {
    payload: { conversationId: ConversationId, ...pageFields },
    success: Page(Message),
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  })
).middleware(SignedIn)
