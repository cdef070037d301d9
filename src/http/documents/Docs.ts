import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApiScalar, OpenApi } from "effect/http-api"
import { noPath } from "../../domain/Refusals.ts"
import { Api } from "../../operations/Api.ts"
import { toAsyncApiDocument } from "./AsyncApiDocument.ts"
import { toAsyncApiPage } from "./AsyncApiPage.ts"
import { compressed } from "./Compressed.ts"
import { toOpenApiDocument } from "./OpenApiDocument.ts"
import { problemTypes, toProblemPage } from "./ProblemPages.ts"

const description = `A chat backend: users, direct and group conversations, messages.

Errors are problems (RFC 9457, \`application/problem+json\`) with a stable \`type\`. Their \`requestId\` finds the request
in the service's log; it is also in the header \`x-request-id\` of every answer. Lists answer \`{items, nextCursor?}\`.
Limits answer 429 with \`Retry-After\`, \`RateLimit\` and \`RateLimit-Policy\`. What does not exist and what is not mine get
the same 404. An unknown path answers 404, and a method that a path does not have 405 with \`Allow\`, as problems too.
Live events come over the WebSocket at \`/v1/ws\` (see [/docs/events](/docs/events)).`

/** The pages contain their scripts and styles and load nothing from other hosts, so they work without the internet. */
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

const DocumentedApi = Api.annotateMerge(
  OpenApi.annotations({
    title: "chat-service",
    version: "1",
    description,
    transform: toOpenApiDocument,
    license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" }
  })
)

/** Describes the HTTP API as an OpenAPI document. */
export const openApiDocument = () => ({ ...OpenApi.fromApi(DocumentedApi) })

/** Describes the protocol of the WebSocket as an AsyncAPI document. `origin` is the address of the service. */
export const asyncApiDocument = (origin = "http://localhost:8080") => toAsyncApiDocument(origin)

const scalar = HttpApiScalar.layer(DocumentedApi, { path: "/*", scalar: { withDefaultFonts: false } })

/** The script of this page has three megabytes, which are loaded when the page is opened. */
const page = HttpRouter.add("GET", "/docs", Effect.flatten(HttpRouter.toHttpEffect(scalar)))

const withPolicy = HttpRouter.middleware((response) =>
  Effect.map(response, HttpServerResponse.setHeader("content-security-policy", contentSecurityPolicy))
).layer

/** Serves a text that is made at the first request. */
const text = (path: `/${string}`, contentType: string, make: () => string) =>
  Layer.unwrap(
    Effect.map(Effect.cached(Effect.sync(make)), (body) =>
      HttpRouter.add("GET", path, () => Effect.map(body, (known) => HttpServerResponse.text(known, { contentType })))
    )
  )

const eventsPage = (origin: string) =>
  text("/docs/events", "text/html; charset=utf-8", () => toAsyncApiPage(asyncApiDocument(origin)))

/** What a type of problem means: a page, or JSON for a caller that prefers it. */
const problems = HttpRouter.add("GET", "/problems/:name", (request) =>
  Effect.gen(function* () {
    const known = problemTypes.get(new URL(request.url, "http://localhost").pathname)
    if (known === undefined) return yield* noPath
    const json = /^(?!.*text\/html).*\bjson\b/.test(request.headers.accept ?? "")
    return json
      ? HttpServerResponse.jsonUnsafe(known)
      : HttpServerResponse.text(toProblemPage(known), { contentType: "text/html; charset=utf-8" })
  })
)

/**
 * Serves `/openapi.json` and `/asyncapi.json`, pages that show them at `/docs` and `/docs/events`, and a page
 * about each type of problem. `origin` is the address of the service.
 */
export const layer = (origin: string) =>
  Layer.mergeAll(
    problems.pipe(Layer.provide(withPolicy)),
    Layer.mergeAll(
      page.pipe(Layer.provide(withPolicy)),
      eventsPage(origin).pipe(Layer.provide(withPolicy)),
      text("/openapi.json", "application/json", () => JSON.stringify(openApiDocument())),
      text("/asyncapi.json", "application/json", () => JSON.stringify(asyncApiDocument(origin)))
    ).pipe(Layer.provide(compressed))
  )
