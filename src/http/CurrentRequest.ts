import { Context } from "effect"
import type { UserId } from "../domain/Ids.ts"
import type { Allowance } from "../services/Limits.ts"

/** What is known of the request that is being served; the rest of its answer and of its log line come from here. */
export interface RequestInfo {
  /** The value of `x-request-id`. */
  readonly id: string
  /** Where it comes from, a trusted proxy's word included. */
  readonly address: string
  /** The template of its path, "none" where there is nothing. */
  readonly route: string
  /** When it came, in nanoseconds. */
  readonly since: bigint
  /** Who makes it, once that is verified. */
  userId: UserId | undefined
  /** What is left of the session's requests per minute, once that is counted. */
  allowance: Allowance | undefined
}

/** The request that is being served. Every route may read it. */
export const CurrentRequest = Context.Reference<RequestInfo>("chat/http/CurrentRequest", {
  defaultValue: () => ({
    id: "none",
    address: "unknown",
    route: "none",
    since: 0n,
    userId: undefined,
    allowance: undefined
  })
})
