import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { ConversationId, MessageId } from "../domain/Ids.ts"
import { placeFields } from "../domain/Page.ts"
import { Vote } from "../domain/Payload.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { Thread, ThreadMark } from "../domain/Thread.ts"
import { SignedIn } from "./Callers.ts"

const message = { conversationId: ConversationId, messageId: MessageId }
const voteError = Schema.Union([InvalidRequest, Forbidden, NotFound, Conflict, Unavailable])

export const ThreadRpcs = RpcGroup.make(
  Rpc.make("thread.list", {
    payload: { ...message, ...placeFields },
    success: Thread,
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  }),
  Rpc.make("thread.mark", {
    payload: { ...message, ...ThreadMark.fields },
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  })
).middleware(SignedIn)

export const PollRpcs = RpcGroup.make(
  Rpc.make("message.vote", { payload: { ...message, ...Vote.fields }, error: voteError }),
  Rpc.make("message.unvote", { payload: message, error: voteError })
).middleware(SignedIn)
