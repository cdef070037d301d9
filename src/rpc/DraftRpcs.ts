import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { Draft, NewDraft } from "../domain/Draft.ts"
import { ConversationId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { SignedIn } from "./Callers.ts"

export const DraftRpcs = RpcGroup.make(
  Rpc.make("draft.set", {
    payload: { conversationId: ConversationId, ...NewDraft.fields },
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  }),
  Rpc.make("draft.clear", {
    payload: { conversationId: ConversationId },
    error: Schema.Union([NotFound, Unavailable])
  }),
  Rpc.make("draft.list", {
    payload: pageFields,
    success: Page(Draft),
    error: Schema.Union([InvalidRequest, Unavailable])
  })
).middleware(SignedIn)
