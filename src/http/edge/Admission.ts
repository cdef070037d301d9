import { Duration, Effect } from "effect"
import { Headers, HttpServerRequest } from "effect/http"
import type { ServiceTokenId, SessionId } from "../../domain/Ids.ts"
import { Forbidden, Unauthenticated } from "../../domain/Problem.ts"
import { accessTokenCookie } from "../../operations/Callers.ts"
import { Principals } from "../../services/admin/Principals.ts"
import { Limits } from "../../services/platform/Limits.ts"
import { allowsPage } from "../../services/platform/Origins.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { CurrentRequest } from "./CurrentRequest.ts"

const bearer = /^bearer +(\S+)$/i

/** The bearer token in headers; empty when there is none. */
export const bearerOf = (headers: Headers.Headers): string => {
  const own = Headers.get(headers, "authorization")
  return own._tag === "Some" ? (bearer.exec(own.value)?.[1] ?? "") : ""
}

/** The counter of a session's requests, which HTTP and RPC share. */
const requestsKey = (sessionId: SessionId) => `requests:${sessionId}`

/** The counter of a service token's requests, whether or not it acts as a user. */
export const serviceRequestsKey = (tokenId: ServiceTokenId) => `service-requests:${tokenId}`

const minute = Duration.minutes(1)

const noToken = new Unauthenticated({ detail: "There is no access token" })
const foreignOrigin = new Forbidden({ detail: "With the cookie, a change must come from a page of an allowed origin" })

const percentDecoded = (text: string) => {
  try {
    return decodeURIComponent(text)
  } catch {
    // It names nobody, which is refused later.
    return ""
  }
}

/** Whether the request can change nothing. A socket carries calls that may change anything. */
const isSafe = ({ headers, method }: HttpServerRequest.HttpServerRequest) =>
  (method === "GET" || method === "HEAD") && headers.upgrade === undefined

/**
 * Makes the function that authenticates the request that is being served, and counts it against the requests per minute
 * of the session or of the service token. The token is the bearer token or, when that is empty, the cookie. `actAs` is the
 * header `Chat-Act-As`, in which characters that a header cannot have are percent-encoded.
 */
export const makeAdmission = Effect.gen(function* () {
  const limiter = yield* Limits
  const principals = yield* Principals
  const { limits, server } = yield* Settings
  const allows = allowsPage(server)

  const cookieOf = (request: HttpServerRequest.HttpServerRequest) => {
    const { cookies, headers } = request
    const token = headers.cookie === undefined ? undefined : cookies[accessTokenCookie.key]
    // The cookie does not replace an `Authorization` header of another kind, which the client sent for a reason.
    if (token === undefined || token === "" || headers.authorization !== undefined) return Effect.fail(noToken)
    return isSafe(request) || allows(headers) ? Effect.succeed(token) : Effect.fail(foreignOrigin)
  }

  return Effect.fnUntraced(function* (bearer: string, actAs: string | undefined) {
    const current = yield* CurrentRequest
    const request = yield* HttpServerRequest.HttpServerRequest
    const token = bearer === "" ? yield* cookieOf(request) : bearer
    const device = { userAgent: request.headers["user-agent"] ?? "", ip: current.address }
    const user = actAs === undefined ? undefined : percentDecoded(actAs)
    const principal = yield* principals.authenticate(token, user, device)
    const { serviceTokenId, sessionId, userId } = principal
    current.userId = userId
    current.serviceTokenId = serviceTokenId
    yield* serviceTokenId === undefined
      ? limiter.take(requestsKey(sessionId), limits.requestsPerMinute, minute)
      : limiter.take(serviceRequestsKey(serviceTokenId), limits.serviceRequestsPerMinute, minute)
    return principal
  })
})
