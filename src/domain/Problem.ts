import { Schema } from "effect"
import { HttpApiError } from "effect/http-api"

/**
 * The errors that callers receive, one class for each RFC 9457 problem type. The same classes are the typed errors of
 * the services, the bodies of HTTP answers, the `error` of a WebSocket answer and the errors of RPC. Clients decide by
 * `type` and `code`, which never change; titles and details are for people.
 */

const requestId = { requestId: Schema.optionalKey(Schema.String) }

/** What is wrong with a field. `code` names the reasons that clients have a text for; a `length` comes with its bounds. */
const Reason = Schema.Struct({
  message: Schema.String,
  code: Schema.optionalKey(Schema.Literals(["length", "reserved", "repetition", "sequence", "common"])),
  min: Schema.optionalKey(Schema.Int),
  max: Schema.optionalKey(Schema.Int)
})
export type Reason = typeof Reason.Type

/** One thing that is wrong with the input: the path of the field, with dots, and what is wrong with it. */
export const Issue = Schema.Struct({ path: Schema.String, ...Reason.fields })
export type Issue = typeof Issue.Type

/** The reason that a text does not have the right number of characters. */
export const wrongLength = ({ max, min }: { readonly min: number; readonly max: number }): Reason => ({
  message: `must have ${min} to ${max} characters`,
  code: "length",
  min,
  max
})

/** The input is invalid. `errors` lists each invalid field, if the problem is one of fields. */
export class InvalidRequest extends HttpApiError.Problem<InvalidRequest>()(
  "InvalidRequest",
  { type: "/problems/invalid-request", status: 400, title: "Invalid request" },
  { ...requestId, errors: Schema.optionalKey(Schema.Array(Issue)) }
) {}

/** The caller sent no valid credentials. `code` tells clients whether to refresh the token or to log in again. */
export class Unauthenticated extends HttpApiError.Problem<Unauthenticated>()(
  "Unauthenticated",
  { type: "/problems/unauthenticated", status: 401, title: "Authentication required" },
  { ...requestId, code: Schema.optionalKey(Schema.Literals(["token-invalid", "token-expired", "session-ended"])) }
) {}

/** The caller may see the resource, but may not do this to it. `code` names the reasons that clients have a text for. */
export class Forbidden extends HttpApiError.Problem<Forbidden>()(
  "Forbidden",
  { type: "/problems/forbidden", status: 403, title: "Permission denied" },
  {
    ...requestId,
    code: Schema.optionalKey(
      Schema.Literals([
        "registration-closed",
        "invite-required",
        "account-disabled",
        "guests-disabled",
        "guest",
        "contacts-only",
        "not-provisioned",
        "passwords-disabled"
      ])
    )
  }
) {}

/** The resource does not exist, or the caller may not see it; the answer is the same, so nobody learns which. */
export class NotFound extends HttpApiError.Problem<NotFound>()(
  "NotFound",
  { type: "/problems/not-found", status: 404, title: "Not found" },
  requestId
) {}

/** The path exists, but not with this HTTP method. */
export class MethodNotAllowed extends HttpApiError.Problem<MethodNotAllowed>()(
  "MethodNotAllowed",
  { type: "/problems/method-not-allowed", status: 405, title: "Method not allowed" },
  requestId
) {}

/** The reasons for a `Conflict`. */
const ConflictCode = Schema.Literals([
  "email-taken",
  "username-taken",
  "message-id-reused",
  "message-deleted",
  "too-many-reactions",
  "too-many-edits",
  "not-a-group",
  "not-a-bot",
  "not-a-guest",
  "guest",
  "group-full",
  "last-owner",
  "idempotency-key-reused",
  "not-a-poll",
  "poll-closed",
  "too-many-scheduled",
  "already-sending",
  "draft-changed",
  "attachment-not-ready",
  "upload-offset",
  "storage-full"
])

/**
 * The request is valid, but the current state does not allow it; `code` names the reason. With `retryAfterMs`, the state
 * changes by itself, and the request can succeed after so many milliseconds.
 */
export class Conflict extends HttpApiError.Problem<Conflict>()(
  "Conflict",
  { type: "/problems/conflict", status: 409, title: "Conflict with the current state" },
  { ...requestId, code: ConflictCode, retryAfterMs: Schema.optionalKey(Schema.Int) }
) {}

/** The body, or a frame of a WebSocket, has more bytes than the settings allow. */
export class TooLarge extends HttpApiError.Problem<TooLarge>()(
  "TooLarge",
  { type: "/problems/too-large", status: 413, title: "Request too large" },
  requestId
) {}

/** The request must say in its headers how long something is. */
export class LengthRequired extends HttpApiError.Problem<LengthRequired>()(
  "LengthRequired",
  { type: "/problems/length-required", status: 411, title: "Length required" },
  requestId
) {}

/** A header of the request states a condition that does not hold, such as the version of a protocol. */
export class PreconditionFailed extends HttpApiError.Problem<PreconditionFailed>()(
  "PreconditionFailed",
  { type: "/problems/precondition-failed", status: 412, title: "Precondition failed" },
  requestId
) {}

/** Another request is changing the same thing. */
export class Locked extends HttpApiError.Problem<Locked>()(
  "Locked",
  { type: "/problems/locked", status: 423, title: "Locked" },
  requestId
) {}

/** The body has another checksum than its header says. The status is that of tus 1.0. */
export class ChecksumMismatch extends HttpApiError.Problem<ChecksumMismatch>()(
  "ChecksumMismatch",
  { type: "/problems/checksum-mismatch", status: 460, title: "Checksum mismatch" },
  requestId
) {}

/** The body has a content type that the path does not take: nearly all take `application/json` alone. */
export class UnsupportedMediaType extends HttpApiError.Problem<UnsupportedMediaType>()(
  "UnsupportedMediaType",
  { type: "/problems/unsupported-media-type", status: 415, title: "Unsupported media type" },
  requestId
) {}

/** A plain HTTP request was sent to a path that only accepts WebSockets. */
export class UpgradeRequired extends HttpApiError.Problem<UpgradeRequired>()(
  "UpgradeRequired",
  { type: "/problems/upgrade-required", status: 426, title: "WebSocket upgrade required" },
  requestId
) {}

/** The caller has exceeded a limit. A retry can succeed after `retryAfterMs` milliseconds. */
export class RateLimited extends HttpApiError.Problem<RateLimited>()(
  "RateLimited",
  { type: "/problems/rate-limited", status: 429, title: "Too many requests" },
  { ...requestId, retryAfterMs: Schema.Int }
) {}

/** A bug or an unexpected failure. `id` finds the log line, which alone has the cause. */
export class Internal extends HttpApiError.Problem<Internal>()(
  "Internal",
  { type: "/problems/internal", status: 500, title: "Internal server error" },
  { ...requestId, id: Schema.String }
) {}

/**
 * A dependency is down or a queue is full. A send that is answered so may have been stored: a retry with the same
 * `clientMessageId` is safe, and its answer is certain. Without `retryAfterMs`, nobody knows when a retry can succeed.
 */
export class Unavailable extends HttpApiError.Problem<Unavailable>()(
  "Unavailable",
  { type: "/problems/unavailable", status: 503, title: "Service temporarily unavailable" },
  { ...requestId, retryAfterMs: Schema.optionalKey(Schema.Int) }
) {}

/** Every problem that the service answers with. */
export const Problem = Schema.Union([
  InvalidRequest,
  Unauthenticated,
  Forbidden,
  NotFound,
  MethodNotAllowed,
  Conflict,
  TooLarge,
  UnsupportedMediaType,
  LengthRequired,
  PreconditionFailed,
  Locked,
  ChecksumMismatch,
  UpgradeRequired,
  RateLimited,
  Internal,
  Unavailable
])
export type Problem = typeof Problem.Type

/** An `InvalidRequest` for one invalid field of the input. */
export const invalid = (path: string, reason: string | Reason) => {
  const given = typeof reason === "string" ? { message: reason } : reason
  return new InvalidRequest({ detail: `${path} ${given.message}`, errors: [{ path, ...given }] })
}
