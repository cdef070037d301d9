type Headers = Readonly<Record<string, string>>

const methods = "GET, HEAD, POST, PUT, PATCH, DELETE"
const requestHeaders = "authorization, content-type, idempotency-key, last-event-id, traceparent, x-request-id"
const exposedHeaders = "x-request-id, retry-after, ratelimit, ratelimit-policy"

/** An hour; Chromium takes no more than two. */
const preflightSeconds = 3600

const foreign: Headers = { vary: "Origin" }

/**
 * The CORS headers for pages of exactly these origins, with credentials; to any other page nothing is said, so its
 * browser keeps the answer from it. `origin` is what the request carries.
 */
export const corsOf = (allowedOrigins: ReadonlyArray<string>) => {
  const answers = new Map(
    allowedOrigins.map((origin): [string, Headers] => [
      origin,
      {
        vary: "Origin",
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": exposedHeaders
      }
    ])
  )
  return {
    answer: (origin: string | undefined): Headers => (origin && answers.get(origin)) || foreign,
    preflight: (origin: string | undefined): Headers =>
      origin !== undefined && answers.has(origin)
        ? {
            "access-control-allow-methods": methods,
            "access-control-allow-headers": requestHeaders,
            "access-control-max-age": String(preflightSeconds)
          }
        : {}
  }
}
