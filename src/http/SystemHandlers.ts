import { Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../operations/Api.ts"
import { AccessTokens } from "../services/identity/AccessTokens.ts"
import { Readiness } from "../services/platform/readiness/Readiness.ts"

/**
 * The handlers of `/health`, `/ready` and `/.well-known/jwks.json`. `/ready` answers 503 while the node cannot serve, with
 * the same report.
 */
export const layer = HttpApiBuilder.group(
  Api,
  "system",
  Effect.fn(function* (handlers) {
    const readiness = yield* Readiness
    const { publicKeys } = yield* AccessTokens
    return handlers.handleAll({
      jwks: () =>
        Effect.succeed(
          HttpServerResponse.jsonUnsafe({ keys: publicKeys }, { headers: { "cache-control": "public, max-age=300" } })
        ),
      health: () => Effect.succeed({ status: "ok" as const }),
      ready: () =>
        Effect.map(readiness.report, (report) =>
          HttpServerResponse.jsonUnsafe(report, {
            status: report.status === "ready" || report.status === "degraded" ? 200 : 503
          })
        )
    })
  })
)
