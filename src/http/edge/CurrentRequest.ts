import { Context } from "effect"
import type { ServiceTokenId, UserId } from "../../domain/Ids.ts"
import type { NamedAllowance } from "../../services/platform/Limits.ts"

/** What is known about the request that is being served. Its response headers and its log line use it. */
export interface RequestInfo {
  /** The value of `x-request-id`. */
  readonly id: string
  /** The client's address, as trusted proxies report it. */
  readonly address: string
  /** The template of its path, or "none" when there is no such path. */
  readonly route: string
  /** The time of its arrival, in nanoseconds. */
  readonly since: bigint
  /** The user who makes it, once the token is verified. */
  userId: UserId | undefined
  /** The service token with which it is made, once that is verified. */
  serviceTokenId: ServiceTokenId | undefined
  /** What is left of each limit that it counted on so far, by the limit's name. */
  readonly allowances: Map<string, NamedAllowance>
}

/** The request that is being served. Every route may read it. */
export const CurrentRequest = Context.Reference<RequestInfo>("chat/http/CurrentRequest", {
  defaultValue: () => ({
    id: "none",
    address: "unknown",
    route: "none",
    since: 0n,
    userId: undefined,
    serviceTokenId: undefined,
    allowances: new Map()
  })
})
