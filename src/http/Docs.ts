import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApiScalar, OpenApi } from "effect/http-api"
import { Api } from "./Api.ts"

/** The page holds its scripts and styles itself and asks nobody but us, so it works without a network too. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'unsafe-inline' 'unsafe-eval'",
  "style-src 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src data:",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'"
].join("; ")

const page = HttpApiScalar.layer(Api, { path: "/docs", scalar: { withDefaultFonts: false } })

const withPolicy = HttpRouter.middleware((response) =>
  Effect.map(response, HttpServerResponse.setHeader("content-security-policy", contentSecurityPolicy))
).layer

const document = HttpRouter.add("GET", "/openapi.json", () =>
  Effect.succeed(
    HttpServerResponse.jsonUnsafe(OpenApi.fromApi(Api), { headers: { "cache-control": "public, max-age=60" } })
  )
)

/** `/openapi.json` and a page to read and try it at `/docs`. */
export const layer = Layer.mergeAll(page.pipe(Layer.provide(withPolicy)), document)
