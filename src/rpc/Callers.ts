import { Context, Schema } from "effect"
import { RpcMiddleware } from "effect/rpc"
import { Forbidden, Internal, InvalidRequest, RateLimited, Unauthenticated, Unavailable } from "../domain/Problem.ts"
import type { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import type { Device } from "../services/Sessions.ts"

/**
 * Lets only signed-in users call, each session so often per minute. The token is the header `authorization` of the
 * request or of the single call, or the cookie of a page of an allowed origin.
 */
export class SignedIn extends RpcMiddleware.Service<SignedIn, { provides: CurrentPrincipal }>()("chat/rpc/SignedIn", {
  error: Schema.Union([InvalidRequest, Unauthenticated, Forbidden, RateLimited, Internal, Unavailable])
}) {}

/** From where a call comes. */
export class CurrentDevice extends Context.Service<CurrentDevice, Device>()("chat/rpc/CurrentDevice") {}

/** Lets everybody call, and says from where. */
export class Anybody extends RpcMiddleware.Service<Anybody, { provides: CurrentDevice }>()("chat/rpc/Anybody", {
  error: Schema.Union([InvalidRequest, Internal])
}) {}
