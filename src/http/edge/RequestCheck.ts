import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect } from "effect"
import type { HttpServerRequest } from "effect/http"
import { InvalidRequest, NotFound, RateLimited } from "../../domain/Problem.ts"
import { actAsHeader } from "../../operations/Callers.ts"
import { AddressLimit } from "../../services/platform/load/AddressLimit.ts"
import { limitHits } from "../../services/platform/MetricDefinitions.ts"
import { Metrics } from "../../services/platform/Metrics.ts"
import type { RequestInfo } from "./CurrentRequest.ts"
import { leavesLargeBody } from "./LargeBody.ts"
import type { Answer } from "./ProblemOfCause.ts"
import { problemResponse } from "./ProblemResponse.ts"

type Request = HttpServerRequest.HttpServerRequest

/** Whether the connection is to become a socket. */
export const wantsSocket = ({ headers }: Request): boolean => headers.upgrade !== undefined

/** Whether a body that may be large has not been read to its end. */
export const leavesBody = (request: Request): boolean =>
  leavesLargeBody(NodeHttpServerRequest.toIncomingMessage(request))

const wrongHost = (message: string) =>
  new InvalidRequest({ detail: `The header Host ${message}`, errors: [{ path: "host", message }] })
const noHost = wrongHost("is missing")
const manyHosts = wrongHost("must be there once")

/**
 * Checks that a request of HTTP/1.1 names one host (RFC 9112, 3.2). Older ones, as health checks send them, need not. A
 * request that names two could mean one host to a proxy and another one to us.
 */
const checkHost = (request: Request): InvalidRequest | undefined => {
  const { httpVersion, rawHeaders } = NodeHttpServerRequest.toIncomingMessage(request)
  if (request.headers.host === undefined) return httpVersion === "1.1" ? noHost : undefined
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]
    if (name?.length === 4 && name.toLowerCase() === "host") hosts++
  }
  return hosts > 1 ? manyHosts : undefined
}

const nothingThere = new NotFound({ detail: "There is nothing at this path" })

/**
 * Whether a path has a semicolon, behind which the router would read nothing: a proxy that closes `/metrics` does not know
 * that it would be the same as `/metrics;`.
 */
export const hasSemicolon = ({ url }: Request) => {
  const at = url.indexOf(";")
  return at >= 0 && !url.slice(0, at).includes("?")
}

/**
 * Whether a request is counted by its session and not by its address: it shows a token, and its route looks at it. One that
 * is forged costs its sender and us as much as a refusal, except for service tokens, for which the database is asked, also
 * where they act as users. Users
 * who share an address do not share a limit so.
 */
const showsToken = ({ headers }: Request, route: string) =>
  (headers.authorization !== undefined || headers.cookie !== undefined) &&
  headers[actAsHeader] === undefined &&
  route.startsWith("/v1/") &&
  !route.startsWith("/v1/auth/") &&
  !route.startsWith("/v1/avatars/") &&
  !route.startsWith("/v1/server/")

/** Why a request is refused before its route. */
export type Refusal = InvalidRequest | NotFound | RateLimited

/** Probes are never refused: whoever sends them would take the node for a dead one. */
const probes = new Set(["/health", "/ready"])

/**
 * Makes the check of a request before its route and its token: it returns why the request is refused, or undefined. Each
 * call counts the request for the limit of its address.
 */
export const makeRequestCheck = Effect.gen(function* () {
  const addresses = yield* AddressLimit
  const limited = (yield* Metrics).counter(limitHits, { limit: "address" })

  return (request: Request, { address, allowances, route }: RequestInfo): Refusal | undefined => {
    const isSocket = wantsSocket(request)
    if (isSocket || (!probes.has(route) && !showsToken(request, route))) {
      const { allowance, retryAfterMs } = isSocket ? addresses.look(address) : addresses.take(address)
      if (!isSocket || retryAfterMs > 0) allowances.set(allowance.name, allowance)
      if (retryAfterMs > 0) {
        limited()
        return new RateLimited({ retryAfterMs, detail: "Too many requests from this address" })
      }
    }
    return checkHost(request) ?? (hasSemicolon(request) ? nothingThere : undefined)
  }
})

const isRefusal = (status: number) => (status >= 400 && status < 500) || status === 503

/**
 * Makes the check of an answer: it counts what the answer costs for the limits of its address. It returns the answer, or the
 * refusal of a large one that the address cannot have now, and for how many milliseconds that is held back.
 */
export const makeAnswerCheck = Effect.gen(function* () {
  const addresses = yield* AddressLimit
  const metrics = yield* Metrics
  const limited = metrics.counter(limitHits, { limit: "answer-bytes" })
  const held = metrics.counter(limitHits, { limit: "refusals" })

  /** Answers to users are counted where they are read; see `HeavyReads`. */
  const withinBytes = ({ method }: Request, { address, allowances, id }: RequestInfo, answer: Answer): Answer => {
    const { body } = answer.response
    if (!allowances.has("address") || body._tag !== "Uint8Array" || method === "HEAD") return answer
    const retryAfterMs = addresses.answered(address, body.contentLength)
    if (retryAfterMs === 0) return answer
    limited()
    const refusal = new RateLimited({ retryAfterMs, detail: "Too many large answers to this address" })
    return { response: problemResponse(refusal, id) }
  }

  return (request: Request, info: RequestInfo, given: Answer): { readonly answer: Answer; readonly holdMs: number } => {
    const answer = withinBytes(request, info, given)
    const { status } = answer.response
    const holdMs = isRefusal(status) ? addresses.refused(info.address, status === 429 || leavesBody(request)) : 0
    if (holdMs > 0) held()
    return { answer, holdMs }
  }
})
