import { Duration, Effect } from "effect"
import { HttpServerRequest } from "effect/http"
import type { SessionId } from "../domain/Ids.ts"
import { Forbidden, Unauthenticated } from "../domain/Problem.ts"
import { Limits } from "../services/Limits.ts"
import { Sessions } from "../services/Sessions.ts"
import { Settings } from "../services/Settings.ts"
import { CurrentRequest } from "./CurrentRequest.ts"
import { accessTokenCookie } from "./Middleware.ts"

/** The counter of a session's requests, which HTTP and RPC share. */
const requestsKey = (sessionId: SessionId) => `requests:${sessionId}`

const minute = Duration.minutes(1)

const noToken = new Unauthenticated({ detail: "There is no access token" })
const foreignOrigin = new Forbidden({ detail: "With the cookie, a change must come from a page of an allowed origin" })

/** A call over a socket may change anything. */
const isSafe = ({ headers, method }: HttpServerRequest.HttpServerRequest) =>
  (method === "GET" || method === "HEAD") && headers.upgrade === undefined

/**
 * Who makes the request that is being served, each session so often per minute: the holder of the bearer token, or, when
 * that is empty, of the cookie.
 */
export const makeAdmission = Effect.gen(function* () {
  const limiter = yield* Limits
  const sessions = yield* Sessions
  const { limits, server } = yield* Settings
  const limit = limits.requestsPerMinute

  const cookieOf = (request: HttpServerRequest.HttpServerRequest) => {
    const { cookies, headers } = request
    const token = headers.cookie === undefined ? undefined : cookies[accessTokenCookie.key]
    // An `Authorization` of another kind means something: it is not for the cookie to stand in.
    if (token === undefined || token === "" || headers.authorization !== undefined) return Effect.fail(noToken)
    return isSafe(request) || server.allowedOrigins.includes(headers.origin ?? "")
      ? Effect.succeed(token)
      : Effect.fail(foreignOrigin)
  }

  return Effect.fnUntraced(function* (bearer: string) {
    const current = yield* CurrentRequest
    const token = bearer === "" ? yield* cookieOf(yield* HttpServerRequest.HttpServerRequest) : bearer
    const principal = yield* sessions.authenticate(token)
    current.userId = principal.userId
    current.allowance = yield* Effect.tapError(
      limiter.take(requestsKey(principal.sessionId), limit, minute),
      ({ retryAfterMs }) =>
        Effect.sync(() => {
          current.allowance = { limit, remaining: 0, resetMs: retryAfterMs }
        })
    )
    return principal
  })
})
