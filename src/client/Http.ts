import { Effect } from "effect"
import { FetchHttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient, HttpApiMiddleware } from "effect/http-api"
import { Api } from "../http/Api.ts"
import { Authorization } from "../http/Middleware.ts"
import { Credentials } from "./Credentials.ts"
import { isTracing, tellTrace } from "./Traces.ts"

/** A token that is refused is renewed, and the request made once more. */
const bearer = HttpApiMiddleware.layerClient(
  Authorization,
  Effect.map(
    Credentials,
    (credentials) =>
      ({ next, request }) =>
        Effect.gen(function* () {
          const token = yield* credentials.token
          const response = yield* next(HttpClientRequest.bearerToken(request, token))
          if (response.status !== 401) return response
          return yield* credentials.renewed(token).pipe(
            Effect.matchEffect({
              // The refusal says what is wrong, as a typed error.
              onFailure: () => Effect.succeed(response),
              onSuccess: (renewed) => next(HttpClientRequest.bearerToken(request, renewed))
            })
          )
        })
  )
)

/**
 * Every operation of the HTTP API as a typed function: `http.message.send({ params: { id }, payload })`. Over `fetch`, as
 * whom `Credentials` says; `url` is that of the service: `https://chat.example.com`.
 */
export const makeHttp = Effect.fnUntraced(function* (url: string) {
  const transformClient = tellTrace(yield* isTracing)
  return yield* Effect.provide(HttpApiClient.make(Api, { baseUrl: url, transformClient }), [
    bearer,
    FetchHttpClient.layer
  ])
})

/** What `makeHttp` gives. */
export type ChatHttp = HttpApiClient.ForApi<typeof Api>
