import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { Block } from "../domain/Block.ts"
import { Unread } from "../domain/Conversation.ts"
import { UserId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { AccountDeletion, Me, ProfileChange, User, UserQuery } from "../domain/User.ts"
import { SignedIn } from "./Callers.ts"

export const UserRpcs = RpcGroup.make(
  Rpc.make("user.me", { success: Me, error: Schema.Union([NotFound, Unavailable]) }),
  Rpc.make("user.update", {
    payload: ProfileChange,
    success: Me,
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  }),
  Rpc.make("user.delete", {
    payload: AccountDeletion,
    error: Schema.Union([InvalidRequest, Forbidden, RateLimited, Unavailable])
  }),
  Rpc.make("user.unread", { success: Unread, error: Unavailable }),
  Rpc.make("user.search", {
    payload: { query: UserQuery, ...pageFields },
    success: Page(User),
    error: Schema.Union([InvalidRequest, Unavailable])
  }),
  Rpc.make("user.get", { payload: { userId: UserId }, success: User, error: Schema.Union([NotFound, Unavailable]) }),
  Rpc.make("block.add", {
    payload: { userId: UserId },
    error: Schema.Union([InvalidRequest, NotFound, Unavailable])
  }),
  Rpc.make("block.remove", { payload: { userId: UserId }, error: Unavailable }),
  Rpc.make("block.list", {
    payload: pageFields,
    success: Page(Block),
    error: Schema.Union([InvalidRequest, Unavailable])
  })
).middleware(SignedIn)
