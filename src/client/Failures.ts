import { Data } from "effect"
import type { Unauthenticated } from "../domain/Problem.ts"

/** There was no answer: the service may have done what was asked, or not. */
export class ConnectionLost extends Data.TaggedError("ConnectionLost")<{ readonly cause?: unknown }> {
  override get message() {
    return "The connection to the service was lost"
  }
}

const reasons = new Map([
  [4500, "it took a frame of this client for broken"],
  [4501, "it does not speak this version of the protocol"],
  [4503, "the session has ended; sign in again"],
  [4504, "the account is gone"],
  [4505, "there are too many connections of this user"],
  [4506, "a frame was too large"]
])

/** The service will not have this client back as it is. `code` is that of the WebSocket's close, where there was one. */
export class Refused extends Data.TaggedError("Refused")<{
  readonly code: number
  readonly cause?: Unauthenticated
}> {
  override get message() {
    return `The service refuses this client (${this.code}): ${reasons.get(this.code) ?? "sign in again"}`
  }
}
