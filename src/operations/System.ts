import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { ReadinessReport } from "../domain/Readiness.ts"
import { PublicKey } from "../domain/Session.ts"

const health = HttpApiEndpoint.get("health", "/health", {
  success: Schema.Struct({ status: Schema.Literal("ok") })
}).annotateMerge(
  OpenApi.annotations({
    summary: "Check whether the process is alive",
    description: "Always 200 while the process runs, whatever the state of its dependencies."
  })
)

const ready = HttpApiEndpoint.get("ready", "/ready", {
  success: [ReadinessReport, ReadinessReport.pipe(HttpApiSchema.status(503))]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Check whether the node can serve requests",
    description:
      "200 when ready or degraded (Redis or NATS is down); 503 while draining and while PostgreSQL is down. Returns the last known state at once: the dependencies are probed in the background."
  })
)

const jwks = HttpApiEndpoint.get("jwks", "/.well-known/jwks.json", {
  success: Schema.Struct({ keys: Schema.Array(PublicKey) })
}).annotateMerge(
  OpenApi.annotations({
    summary: "Get the public keys of access tokens",
    description:
      "A JSON Web Key Set (RFC 7517) for services that verify access tokens themselves. Tokens are signed with these keys when `jwt.algorithm` is `EdDSA`. A valid signature does not say whether the session still lives."
  })
)

/** The endpoints for operators. They exist over HTTP only, so they are no operations. */
export const System = HttpApiGroup.make("system", { topLevel: true })
  .add(health, ready, jwks)
  .annotateMerge(OpenApi.annotations({ description: "For operators of the service" }))
