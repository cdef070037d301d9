import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { SessionId } from "../domain/Ids.ts"
import {
  Conflict,
  Forbidden,
  InvalidRequest,
  NotFound,
  RateLimited,
  Unauthenticated,
  Unavailable
} from "../domain/Problem.ts"
import { Login, PasswordChange, Refresh, Session, Tokens } from "../domain/Session.ts"
import { Me, Registration } from "../domain/User.ts"
import { Anybody, SignedIn } from "./Callers.ts"

/** What is asked before there is a session. */
export const AccountRpcs = RpcGroup.make(
  Rpc.make("auth.register", {
    payload: Registration,
    success: Me,
    error: Schema.Union([InvalidRequest, Conflict, RateLimited, Unavailable])
  }),
  Rpc.make("auth.login", {
    payload: Login,
    success: Tokens,
    error: Schema.Union([InvalidRequest, Unauthenticated, RateLimited, Unavailable])
  }),
  Rpc.make("auth.refresh", {
    payload: Refresh,
    success: Tokens,
    error: Schema.Union([InvalidRequest, Unauthenticated, Unavailable])
  })
).middleware(Anybody)

export const SessionRpcs = RpcGroup.make(
  Rpc.make("auth.logout", { error: Unavailable }),
  Rpc.make("auth.password", {
    payload: PasswordChange,
    error: Schema.Union([InvalidRequest, Forbidden, RateLimited, Unavailable])
  }),
  Rpc.make("session.list", { success: Schema.Struct({ items: Schema.Array(Session) }), error: Unavailable }),
  Rpc.make("session.end", { payload: { sessionId: SessionId }, error: Schema.Union([NotFound, Unavailable]) })
).middleware(SignedIn)
