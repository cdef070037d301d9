import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { ReadinessReport } from "../domain/Readiness.ts"

const health = HttpApiEndpoint.get("health", "/health", {
  success: Schema.Struct({ status: Schema.Literal("ok") })
}).annotateMerge(
  OpenApi.annotations({ summary: "Alive", description: "The process runs, whatever it depends on. Always 200." })
)

const ready = HttpApiEndpoint.get("ready", "/ready", {
  success: [ReadinessReport, ReadinessReport.pipe(HttpApiSchema.status(503))]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Ready for requests",
    description:
      "200 when ready or degraded (Redis or NATS is away); 503 while draining and while PostgreSQL is away. Says at once what was last known: dependencies are probed all the time."
  })
)

export class SystemGroup extends HttpApiGroup.make("system", { topLevel: true })
  .add(health, ready)
  .annotateMerge(OpenApi.annotations({ description: "For those who run the service" })) {}
