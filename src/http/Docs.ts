import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApiScalar, OpenApi } from "effect/http-api"
import { Api } from "./Api.ts"
import { toAsyncApiDocument } from "./AsyncApiDocument.ts"
import { toAsyncApiPage } from "./AsyncApiPage.ts"

/** The pages hold their scripts and styles themselves and ask nobody but us, so they work without a network too. */
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

/** The HTTP API, as OpenAPI has it. */
export const openApiDocument = () => ({ ...OpenApi.fromApi(Api) })

/** The protocol of the WebSocket, as AsyncAPI has it. */
export const asyncApiDocument = () => toAsyncApiDocument(openApiDocument())

const page = HttpApiScalar.layer(Api, { path: "/docs", scalar: { withDefaultFonts: false } })

const withPolicy = HttpRouter.middleware((response) =>
  Effect.map(response, HttpServerResponse.setHeader("content-security-policy", contentSecurityPolicy))
).layer

/** Made when it is first asked for. */
const text = (path: `/${string}`, contentType: string, make: () => string) =>
  Layer.unwrap(
    Effect.map(Effect.cached(Effect.sync(make)), (body) =>
      HttpRouter.add("GET", path, () =>
        Effect.map(body, (known) =>
          HttpServerResponse.text(known, { contentType, headers: { "cache-control": "public, max-age=60" } })
        )
      )
    )
  )

const eventsPage = text("/docs/events", "text/html; charset=utf-8", () => toAsyncApiPage(asyncApiDocument()))

/** `/openapi.json` and `/asyncapi.json`, with pages to read them at `/docs` and `/docs/events`. */
export const layer = Layer.mergeAll(
  page.pipe(Layer.provide(withPolicy)),
  eventsPage.pipe(Layer.provide(withPolicy)),
  text("/openapi.json", "application/json", () => JSON.stringify(openApiDocument())),
  text("/asyncapi.json", "application/json", () => JSON.stringify(asyncApiDocument()))
)
