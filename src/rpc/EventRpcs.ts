import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { RateLimited, Unauthenticated, Unavailable } from "../domain/Problem.ts"
import { SyncRequest } from "../domain/Sync.ts"
import { Told } from "../domain/Told.ts"
import { SignedIn } from "./Callers.ts"

export const EventRpcs = RpcGroup.make(
  /**
   * Without cursors the list of conversations and what happens from then on; with them first what they missed, in order
   * and without a hole. Read no faster than the caller reads. Ends with the session and when the node goes away: call it
   * again with the cursors as they are then.
   */
  Rpc.make("events.stream", {
    payload: { ...SyncRequest.fields, cursors: Schema.optionalKey(SyncRequest.fields.cursors) },
    success: Told,
    error: Schema.Union([Unauthenticated, RateLimited, Unavailable]),
    stream: true
  })
).middleware(SignedIn)
