import { Schema, SchemaIssue } from "effect"
import { HttpServerResponse, ProblemDetails } from "effect/http"
import type { HttpApiError } from "effect/http-api"
import { InvalidRequest, nearest, Problem } from "../../domain/Problem.ts"

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

const messageOf: SchemaIssue.LeafHook = (issue) => {
  if (issue._tag === "MissingKey") return "is required"
  const message = SchemaIssue.defaultLeafHook(issue)
  return message.replace(/^Expected /, "must be ")
}

const checkMessageOf: SchemaIssue.CheckHook = (issue) => {
  const message = SchemaIssue.defaultCheckHook(issue)
  if (message !== undefined) return message
  const expected = issue.filter.annotations?.expected
  return typeof expected === "string" ? `must be ${expected}` : undefined
}

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1({ leafHook: messageOf, checkHook: checkMessageOf })

/** At most this many issues are reported, so that a list of a thousand wrong items does not make a large answer. */
const maxIssues = 20

/** Says what is wrong with the parts of a request, by the names that the client used. It repeats no values. */
export const toInvalidRequest = (error: HttpApiError.HttpApiSchemaError): InvalidRequest => {
  const errors = issuesOf(nearest(error.cause.issue))
    .issues.slice(0, maxIssues)
    .map(({ message, path = [] }) => ({
      path: path.map((segment) => String(typeof segment === "object" ? segment.key : segment)).join("."),
      message
    }))
  const [first] = errors
  return new InvalidRequest({
    errors,
    ...(first !== undefined && { detail: `${first.path === "" ? "the body" : first.path} ${first.message}` })
  })
}
