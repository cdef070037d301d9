import { Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Readiness } from "../services/Readiness.ts"
import { Api } from "./Api.ts"

export const layer = HttpApiBuilder.group(
  Api,
  "system",
  Effect.fn(function* (handlers) {
    const readiness = yield* Readiness
    return handlers.handleAll({
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
