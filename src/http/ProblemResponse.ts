import { Schema, SchemaIssue } from "effect"
import { HttpServerResponse, ProblemDetails } from "effect/http"
import type { HttpApiError } from "effect/http-api"
import { InvalidRequest, nearest, Problem } from "../domain/Problem.ts"

const encode = Schema.encodeSync(Problem)

const headersOf = (problem: Problem): Record<string, string> => {
  switch (problem._tag) {
    case "Unauthenticated":
      return { "www-authenticate": "Bearer" }
    case "RateLimited":
      return { "retry-after": String(Math.ceil(problem.retryAfterMs / 1000)) }
    case "UpgradeRequired":
      return { upgrade: "websocket", connection: "Upgrade", "sec-websocket-version": "13" }
    case "Unavailable":
      return { "retry-after": "1" }
    default:
      return {}
  }
}

export const isProblem = Schema.is(Problem)

/** The answer that tells a problem (RFC 9457). `headers` come on top of those that the problem itself calls for. */
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

/** Of a list with a thousand wrong items the first few say it all. */
const maxIssues = 20

/** What is wrong with the parts of a request, by their names as the client wrote them. No value is repeated. */
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
