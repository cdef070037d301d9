import { Schema, SchemaIssue } from "effect"
import { HttpApiError } from "effect/http-api"

/**
 * Everything that a caller can be told went wrong, one class per RFC 9457 problem type. The same classes are the typed
 * errors of services, the bodies of HTTP answers, the `error` of a WebSocket answer and the errors of RPC.
 */

const requestId = { requestId: Schema.optionalKey(Schema.String) }

/** Where in the input, and what is wrong there. */
export const Issue = Schema.Struct({ path: Schema.String, message: Schema.String })
export type Issue = typeof Issue.Type

export class InvalidRequest extends HttpApiError.Problem<InvalidRequest>()(
  "InvalidRequest",
  { type: "/problems/invalid-request", status: 400, title: "The request is not valid" },
  { ...requestId, errors: Schema.optionalKey(Schema.Array(Issue)) }
) {}

export class Unauthenticated extends HttpApiError.Problem<Unauthenticated>()(
  "Unauthenticated",
  { type: "/problems/unauthenticated", status: 401, title: "You are not authenticated" },
  { ...requestId, code: Schema.optionalKey(Schema.Literals(["token-invalid", "token-expired", "session-ended"])) }
) {}

export class Forbidden extends HttpApiError.Problem<Forbidden>()(
  "Forbidden",
  { type: "/problems/forbidden", status: 403, title: "You may not do that" },
  requestId
) {}

/** Also the answer for what exists but is not the caller's: the two cannot be told apart. */
export class NotFound extends HttpApiError.Problem<NotFound>()(
  "NotFound",
  { type: "/problems/not-found", status: 404, title: "There is no such thing" },
  requestId
) {}

export class MethodNotAllowed extends HttpApiError.Problem<MethodNotAllowed>()(
  "MethodNotAllowed",
  { type: "/problems/method-not-allowed", status: 405, title: "This resource does not have that method" },
  requestId
) {}

export const ConflictCode = Schema.Literals([
  "email-taken",
  "username-taken",
  "message-id-reused",
  "message-deleted",
  "too-many-reactions",
  "not-a-group",
  "group-full",
  "last-owner",
  "idempotency-key-reused",
  "not-a-poll",
  "poll-closed",
  "too-many-scheduled",
  "already-sending"
])

export class Conflict extends HttpApiError.Problem<Conflict>()(
  "Conflict",
  { type: "/problems/conflict", status: 409, title: "That is in conflict with what is already there" },
  { ...requestId, code: ConflictCode }
) {}

export class TooLarge extends HttpApiError.Problem<TooLarge>()(
  "TooLarge",
  { type: "/problems/too-large", status: 413, title: "The request is too large" },
  requestId
) {}

export class UnsupportedMediaType extends HttpApiError.Problem<UnsupportedMediaType>()(
  "UnsupportedMediaType",
  { type: "/problems/unsupported-media-type", status: 415, title: "The body must be JSON" },
  requestId
) {}

export class UpgradeRequired extends HttpApiError.Problem<UpgradeRequired>()(
  "UpgradeRequired",
  { type: "/problems/upgrade-required", status: 426, title: "This resource speaks WebSocket" },
  requestId
) {}

/** `retryAfterMs` says when a retry can succeed. */
export class RateLimited extends HttpApiError.Problem<RateLimited>()(
  "RateLimited",
  { type: "/problems/rate-limited", status: 429, title: "Too many requests" },
  { ...requestId, retryAfterMs: Schema.Int }
) {}

/** A fault of ours. `id` finds it in the log; the cause is never told. */
export class Internal extends HttpApiError.Problem<Internal>()(
  "Internal",
  { type: "/problems/internal", status: 500, title: "Something went wrong on our side" },
  { ...requestId, id: Schema.String }
) {}

/** A dependency is away or a queue is full. It does not tell whether a send was stored: retry with the same id. */
export class Unavailable extends HttpApiError.Problem<Unavailable>()(
  "Unavailable",
  { type: "/problems/unavailable", status: 503, title: "The service cannot do that right now" },
  requestId
) {}

export const Problem = Schema.Union([
  InvalidRequest,
  Unauthenticated,
  Forbidden,
  NotFound,
  MethodNotAllowed,
  Conflict,
  TooLarge,
  UnsupportedMediaType,
  UpgradeRequired,
  RateLimited,
  Internal,
  Unavailable
])
export type Problem = typeof Problem.Type

/** One invalid field of the input. */
export const invalid = (path: string, message: string) =>
  new InvalidRequest({ detail: `${path} ${message}`, errors: [{ path, message }] })

/** How many fields are missing. */
const lacks = (issue: SchemaIssue.Issue): number => {
  switch (issue._tag) {
    case "MissingKey":
      return 1
    case "Pointer":
    case "Encoding":
    case "Filter":
      return lacks(issue.issue)
    case "Composite":
    case "AnyOf":
      return issue.issues.reduce((sum, each) => sum + lacks(each), 0)
    default:
      return 0
  }
}

/** The issue, and of what fits no member of a union only what is wrong with the nearest one, which lacks the least. */
export const nearest = (issue: SchemaIssue.Issue): SchemaIssue.Issue => {
  switch (issue._tag) {
    case "Pointer":
      return new SchemaIssue.Pointer(issue.path, nearest(issue.issue))
    case "Composite": {
      const [first, ...rest] = issue.issues
      return new SchemaIssue.Composite(issue.ast, [nearest(first), ...rest.map(nearest)])
    }
    case "AnyOf": {
      const [first, ...rest] = issue.issues
      return first === undefined
        ? issue
        : nearest(rest.reduce((best, each) => (lacks(each) < lacks(best) ? each : best), first))
    }
    default:
      return issue
  }
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** Everything that is wrong with input that a Schema refused. */
export const invalidData = ({ issue }: Schema.SchemaError) =>
  new InvalidRequest({
    detail: "The data is not valid",
    errors: format(nearest(issue)).issues.map(({ message, path = [] }) => ({
      path: path.map((segment) => String(typeof segment === "object" ? segment.key : segment)).join("."),
      message
    }))
  })
