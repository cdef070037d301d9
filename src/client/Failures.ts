import { Data } from "effect"
import type { Forbidden, Unauthenticated } from "../domain/Problem.ts"
import { CloseCode } from "../domain/Protocol.ts"

/** There was no answer: the service may or may not have done what was asked. */
export class ConnectionLost extends Data.TaggedError("ConnectionLost")<{ readonly cause?: unknown }> {
  override get message() {
    return "The connection to the service was lost"
  }
}

const reasons = new Map<number, string>([
  [CloseCode.badFrame, "it could not read a frame of this client"],
  [CloseCode.tokenExpired, "the token is invalid or has expired, and there is no other"],
  [CloseCode.unsupportedVersion, "it does not speak this version of the protocol"],
  [CloseCode.sessionRevoked, "the session has ended; sign in again"],
  [CloseCode.accountDisabled, "the account was deleted or disabled"],
  [CloseCode.tooManyConnections, "there are too many connections of this user"],
  [CloseCode.frameTooLarge, "a frame was too large"]
])

/** The service refuses this client until something changes. `code` is the close code of the WebSocket. */
export class Refused extends Data.TaggedError("Refused")<{
  readonly code: number
  readonly cause?: Unauthenticated | Forbidden
}> {
  override get message() {
    return `The service refuses this client (${this.code}): ${reasons.get(this.code) ?? "sign in again"}`
  }
}
