type Headers = Readonly<Record<string, string>>

type RequestHeaders = Readonly<Record<string, string | undefined>>

const methods = "GET, HEAD, POST, PUT, PATCH, DELETE"
const requestHeaders = [
  "authorization, content-type, idempotency-key, if-range, last-event-id, range, x-request-id",
  "tus-resumable, upload-checksum, upload-length, upload-metadata, upload-offset",
  "traceparent, tracestate, baggage, b3",
  "x-b3-traceid, x-b3-spanid, x-b3-parentspanid, x-b3-sampled, x-b3-flags"
].join(", ")
const exposedHeaders = [
  "x-request-id, retry-after, ratelimit, ratelimit-policy, traceresponse",
  "accept-ranges, content-disposition, content-length, content-range, etag",
  "chat-attachment-id, location, tus-checksum-algorithm, tus-extension, tus-max-size, tus-resumable, tus-version",
  "upload-expires, upload-length, upload-metadata, upload-offset"
].join(", ")

/** How long a browser keeps the answer to a preflight, in seconds: one hour. Chromium accepts at most two. */
const preflightSeconds = 3600

const foreign: Headers = { vary: "Origin" }

/**
 * Makes the CORS headers for pages that `allows` lets use the service, with credentials. Other pages get no headers, so the
 * browser does not show them the answer.
 */
export const corsOf = (allows: (headers: RequestHeaders) => boolean) => ({
  answer: (headers: RequestHeaders): Headers =>
    headers.origin !== undefined && allows(headers)
      ? {
          vary: "Origin",
          "access-control-allow-origin": headers.origin,
          "access-control-allow-credentials": "true",
          "access-control-expose-headers": exposedHeaders
        }
      : foreign,
  preflight: (headers: RequestHeaders): Headers =>
    allows(headers)
      ? {
          "access-control-allow-methods": methods,
          "access-control-allow-headers": requestHeaders,
          "access-control-max-age": String(preflightSeconds)
        }
      : {}
})
