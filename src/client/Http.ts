import { Effect, Schema } from "effect"
import { FetchHttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { HttpApiClient, HttpApiMiddleware } from "effect/http-api"
import { RateLimited, Unavailable } from "../domain/Problem.ts"
import { Api } from "../operations/Api.ts"
import { Authorization } from "../operations/Callers.ts"
import { Credentials } from "./Credentials.ts"
import { withRenewal } from "./credentials/Renewal.ts"
import type { ConnectionLost, Refused } from "./Failures.ts"
import { isTracing, propagateTrace } from "./Traces.ts"

/** What every operation may be refused with for a time. A renewal that is refused so says nothing about the session. */
const Passing = Schema.Union([RateLimited, Unavailable])

/** The answer to a request whose token could not be renewed: why not, if that passes, and else the answer to its token. */
const refusalOf = (
  failure: Refused | ConnectionLost,
  request: HttpClientRequest.HttpClientRequest,
  refused: HttpClientResponse.HttpClientResponse
) => {
  if (!Schema.is(Passing)(failure.cause)) return refused
  const body = JSON.stringify(Schema.encodeSync(Passing)(failure.cause))
  const headers = { "content-type": "application/problem+json" }
  return HttpClientResponse.fromWeb(request, new Response(body, { status: failure.cause.status, headers }))
}

/** Renews a token that is refused, and makes the request once more. */
const bearer = HttpApiMiddleware.layerClient(
  Authorization,
  Effect.map(Credentials, ({ renewed, token }) => ({ next, request }) => {
    const unsent = (cause: Refused | ConnectionLost) =>
      new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
    return withRenewal(
      Effect.mapError(token, unsent),
      renewed,
      (current) => next(HttpClientRequest.bearerToken(request, current)),
      // The response becomes a typed error.
      (failure, response) => Effect.succeed(refusalOf(failure, request, response))
    )
  })
)

/**
 * Makes the HTTP client: every operation of the API as a typed function, `http.message.send({ params, payload })`. It
 * uses `fetch` and the tokens of `Credentials`; `url` is the URL of the service: `https://chat.example.com`.
 */
export const makeHttp = Effect.fnUntraced(function* (url: string) {
  const transformClient = propagateTrace(yield* isTracing)
  return yield* Effect.provide(HttpApiClient.make(Api, { baseUrl: url, transformClient }), [
    bearer,
    FetchHttpClient.layer
  ])
})

/** The client that `makeHttp` returns. */
export type ChatHttp = HttpApiClient.ForApi<typeof Api>
