import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { PresenceChange, PresenceList, PresenceSubscription } from "../domain/Presence.ts"
import { InvalidRequest, Unavailable } from "../domain/Problem.ts"
import { SignedIn } from "./Callers.ts"

export const PresenceRpcs = RpcGroup.make(
  Rpc.make("presence.get", {
    payload: PresenceSubscription,
    success: PresenceList,
    error: Schema.Union([InvalidRequest, Unavailable])
  }),
  Rpc.make("presence.set", { payload: PresenceChange, error: Unavailable })
).middleware(SignedIn)
