import { HttpApiMiddleware, HttpApiSecurity, OpenApi } from "effect/http-api"
import {
  Forbidden,
  Internal,
  InvalidRequest,
  RateLimited,
  TooLarge,
  Unauthenticated,
  Unavailable,
  UnsupportedMediaType
} from "../domain/Problem.ts"
import type { CurrentPrincipal } from "../services/CurrentPrincipal.ts"

/** The access token as a cookie, for pages of an allowed origin. */
export const accessTokenCookie = HttpApiSecurity.apiKey({ in: "cookie", key: "access_token" })

/**
 * Lets only signed-in users through, each session so often per minute. The token may also come as the cookie
 * `access_token`, which is the implementation's business: of two security schemes Effect reports the last refusal.
 */
export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: CurrentPrincipal }>()(
  "chat/http/Authorization",
  {
    requiredForClient: true,
    security: {
      bearer: HttpApiSecurity.bearer.pipe(
        HttpApiSecurity.annotate(OpenApi.Description, "The access token (a JWT) that login and refresh give")
      )
    },
    error: [Unauthenticated, Forbidden, RateLimited, Unavailable]
  }
) {}

/** Lets only bodies through that are JSON, in UTF-8, not too large and not too deep. */
export class JsonBody extends HttpApiMiddleware.Service<JsonBody>()("chat/http/JsonBody", {
  error: [InvalidRequest, TooLarge, UnsupportedMediaType]
}) {}

/** Answers with a problem (RFC 9457) that carries the request's id, whatever goes wrong inside. */
export class Problems extends HttpApiMiddleware.Service<Problems>()("chat/http/Problems", {
  error: [InvalidRequest, Internal]
}) {}
