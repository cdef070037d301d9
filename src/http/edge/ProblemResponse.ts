import { Schema } from "effect"
import { HttpServerResponse, ProblemDetails } from "effect/http"
import { Problem } from "../../domain/Problem.ts"

const encode = Schema.encodeSync(Problem)

const headersOf = (problem: Problem): Record<string, string> => {
  switch (problem._tag) {
    case "Unauthenticated":
      return { "www-authenticate": "Bearer" }
    case "RateLimited":
    case "Unavailable":
      return { "retry-after": String(Math.ceil((problem.retryAfterMs ?? 1000) / 1000)) }
    case "UpgradeRequired":
      return { upgrade: "websocket", connection: "Upgrade", "sec-websocket-version": "13" }
    default:
      return {}
  }
}

/** Whether a failure is a problem, which the caller may see as it is. */
export const isProblem = Schema.is(Problem)

/** Makes the response for a problem (RFC 9457). `headers` are added to those that the problem itself requires. */
export const problemResponse = (problem: Problem, requestId: string, headers: Record<string, string> = {}) => {
  const { detail, status, title, type, ...rest } = encode(problem)
  return HttpServerResponse.text(
    JSON.stringify({ type, title, status, ...(detail !== undefined && { detail }), ...rest, requestId }),
    { status: problem.status, contentType: ProblemDetails.contentType, headers: { ...headersOf(problem), ...headers } }
  )
}
