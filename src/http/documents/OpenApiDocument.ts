import { Schema } from "effect"
import {
  Internal,
  InvalidRequest,
  NotFound,
  RateLimited,
  TooLarge,
  Unavailable,
  UpgradeRequired
} from "../../domain/Problem.ts"
import { accessTokenCookie } from "../../operations/Callers.ts"
import { exampleOf } from "./Examples.ts"
import { isRecord, type Json, makeJsonSchemas, plainName } from "./JsonSchemas.ts"
import { otherPaths } from "./OtherRoutes.ts"

/**
 * The query parameters that are numbers. Effect describes them as strings, as they are in a URL. Parameters with a
 * description of their own are left alone.
 */
const numbers: Record<string, Readonly<Record<string, unknown>>> = {
  limit: { description: "How many items at most", minimum: 1, maximum: 200, default: 50 },
  before: { description: "Only what comes before this seq", minimum: 0 },
  after: { description: "Only what comes after this seq", minimum: 0 },
  around: { description: "The message of this seq in the middle", minimum: 0 }
}

const cookieScheme = {
  type: "apiKey",
  in: accessTokenCookie.in,
  name: accessTokenCookie.key,
  description:
    "The access token as the cookie that login and refresh set for pages of an allowed origin. A request that changes something must then carry such an `Origin`."
}

const withEntries = <A>(
  record: Readonly<Record<string, A>>,
  f: (key: string, value: A) => ReadonlyArray<readonly [string, unknown]>
) => Object.fromEntries(Object.entries(record).flatMap(([key, value]) => f(key, value)))

const rewrite = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(rewrite)
  if (!isRecord(value)) return value
  const number = value.in === "query" && value.description === undefined ? numbers[String(value.name)] : undefined
  if (number !== undefined) {
    const { description, ...bounds } = number
    return { ...value, description, schema: { type: "integer", ...bounds } }
  }
  return withEntries(value, (key, inner) => {
    // Unknown fields are ignored in requests, and may appear in answers.
    if (key === "additionalProperties" && inner === false) return []
    if (key === "$ref") return [[key, plainName(String(inner))]]
    if (key === "security" && Array.isArray(inner) && inner.some((one) => isRecord(one) && "bearer" in one))
      return [[key, [...inner, { cookie: [] }]]]
    return [[key, rewrite(inner)]]
  })
}

/** Over HTTP a problem always has these fields. Its example is at its Schema, because every operation can answer it. */
const completed = (schema: unknown, schemas: Json): unknown => {
  const type = isRecord(schema) && isRecord(schema.properties) ? schema.properties.type : undefined
  const isProblem = isRecord(type) && Array.isArray(type.enum) && String(type.enum[0]).startsWith("/problems/")
  if (!isRecord(schema) || !isProblem || !Array.isArray(schema.required)) return schema
  return {
    ...schema,
    required: [...new Set([...schema.required, "title", "status", "requestId"])],
    examples: [exampleOf(schema, schemas, true)]
  }
}

const header = (description: string, type: string, example?: string) => ({
  description,
  schema: { type },
  ...(example !== undefined && { example })
})
const retryAfter = { "Retry-After": header("In how many seconds to try again", "integer") }

const rateLimits = {
  RateLimit: { $ref: "#/components/headers/RateLimit" },
  "RateLimit-Policy": { $ref: "#/components/headers/RateLimit-Policy" }
}
const sharedHeaders = {
  RateLimit: header(
    "For each limit that the request counted on, how much is left (`r`) and in how many seconds all of it is (`t`). The limit of which the least is left comes first",
    "string",
    '"default";r=1199;t=1'
  ),
  "RateLimit-Policy": header(
    "For each of these limits, how much it allows (`q`) in how many seconds (`w`). Without `w` it limits what is open at the same time",
    "string",
    '"default";q=1200;w=60'
  )
}
const probes: ReadonlySet<string> = new Set(["/health", "/ready"])

const headers: Record<string, Json> = {
  401: { "WWW-Authenticate": header("`Bearer`", "string") },
  429: { ...retryAfter, ...rateLimits },
  503: retryAfter
}

/** Adds an example to each JSON body, made from its Schema. */
const withExamples = (content: unknown, schemas: Json, complete: boolean): Json =>
  withEntries(isRecord(content) ? content : {}, (type, media) => [
    [
      type,
      isRecord(media) && /^application\/(json|x-www-form-urlencoded)$/.test(type)
        ? { ...media, examples: { example: { value: exampleOf(media.schema, schemas, complete) } } }
        : media
    ]
  ])

/** The name of the problem of a response with nothing but a problem's standard text. Such a response is described once. */
const usualProblem = ({ content, description }: Json, schemas: Json): string | undefined => {
  const media = isRecord(content) && Object.keys(content).length === 1 ? content["application/problem+json"] : undefined
  const schema = isRecord(media) ? media.schema : undefined
  const name = isRecord(schema) ? String(schema.$ref).replace("#/components/schemas/", "") : ""
  return JSON.stringify(schemas[name] ?? null).includes(JSON.stringify([description])) ? name : undefined
}

/**
 * A body that may be left out. Effect declares it as a choice between the body and null, which is what it reads then; no
 * client sends that null.
 */
const optionalBody = (body: Json): Json => {
  const media = isRecord(body.content) ? body.content["application/json"] : undefined
  const schema = isRecord(media) ? media.schema : undefined
  const choices = isRecord(schema) && Array.isArray(schema.anyOf) ? schema.anyOf : []
  const rest = choices.filter((choice) => !isRecord(choice) || choice.type !== "null")
  return rest.length === 1 && rest.length < choices.length
    ? { ...body, required: false, content: { "application/json": { schema: rest[0] } } }
    : body
}

const operation = (
  path: string,
  method: string,
  value: unknown,
  schemas: Json,
  problems: Record<string, unknown>
): unknown => {
  if (!isRecord(value) || !isRecord(value.responses)) return value
  // Every answer that counted on a limit carries it. Probes and questions about what is spoken count on none.
  const counts = !probes.has(path) && method !== "options"
  const { responses } = value
  const requestBody = isRecord(value.requestBody) ? optionalBody(value.requestBody) : undefined
  return {
    ...value,
    ...(requestBody !== undefined && {
      requestBody: { ...requestBody, content: withExamples(requestBody.content, schemas, false) }
    }),
    responses: {
      ...withEntries(everywhere, (status, [name]) =>
        status === "404" && !path.includes("{") ? [] : [[status, { $ref: `#/components/responses/${name}` }]]
      ),
      ...withEntries(responses, (status, response) => {
        if (!isRecord(response)) return [[status, response]]
        const carried = status.startsWith("2") && counts ? rateLimits : headers[status]
        const own = isRecord(response.headers) ? response.headers : {}
        const whole = { ...response, ...(carried !== undefined && { headers: { ...own, ...carried } }) }
        if (response.content === undefined) return [[status, whole]]
        const problem = usualProblem(response, schemas)
        if (problem === undefined)
          return [[status, { ...whole, content: withExamples(response.content, schemas, true) }]]
        problems[problem] = whole
        return [[status, { $ref: `#/components/responses/${problem}` }]]
      })
    }
  }
}

const Unread = Schema.Struct({
  type: Schema.Literals([new InvalidRequest({}).type, new TooLarge({}).type]),
  title: Schema.String,
  status: Schema.Literals([408, 417, 431]),
  detail: Schema.String,
  requestId: Schema.String
}).annotate({ identifier: "UnreadRequest" })

/**
 * The answers to requests that no route has seen, which therefore every path can give. Only a path with a parameter can be
 * one that does not exist.
 */
const everywhere: Readonly<Record<string, readonly [name: string, description: string, schema: Schema.Top]>> = {
  400: ["InvalidRequest", "Invalid request", InvalidRequest],
  404: ["NotFound", "Not found", NotFound],
  408: ["RequestTimeout", "The request did not arrive in time", Unread],
  417: ["UnknownExpectation", "The header Expect asks for something unknown", Unread],
  426: ["UnknownUpgrade", "The header Upgrade asks for something unknown", UpgradeRequired],
  429: ["RateLimited", "Too many requests", RateLimited],
  431: ["HeadersTooLarge", "The URL and the headers are too large", Unread],
  500: ["Internal", "Internal server error", Internal],
  503: ["Unavailable", "Service temporarily unavailable", Unavailable]
}

const problemsEverywhere = (describe: (schema: Schema.Top) => unknown) =>
  Object.fromEntries<unknown>(
    Object.entries(everywhere).map(([status, [name, description, schema]]) => [
      name,
      {
        description,
        content: { "application/problem+json": { schema: describe(schema) } },
        ...(headers[status] !== undefined && { headers: headers[status] })
      }
    ])
  )

/** Completes Effect's OpenAPI document for readers: it has every path that is served, with examples. */
export const toOpenApiDocument = (document: Json): Record<string, unknown> => {
  const { components, paths, ...rest } = withEntries(document, (key, value) => [[key, rewrite(value)]])
  if (!isRecord(components) || !isRecord(components.schemas) || !isRecord(paths)) return { ...rest, components, paths }
  const json = makeJsonSchemas()
  const others = otherPaths(json.of)
  const problems = problemsEverywhere(json.of)
  const named = { ...json.components, ...components.schemas }
  const schemas = withEntries(named, (name, schema) => [[plainName(name), completed(schema, named)]])
  return {
    ...rest,
    servers: [{ url: "/", description: "This service" }],
    paths: withEntries({ ...paths, ...others }, (path) => [
      [
        path,
        withEntries({ ...Object(paths[path]), ...Object(others[path]) }, (method, value) => [
          [method, operation(path, method, value, schemas, problems)]
        ])
      ]
    ]),
    components: {
      ...components,
      schemas,
      responses: problems,
      headers: sharedHeaders,
      securitySchemes: {
        ...withEntries(isRecord(components.securitySchemes) ? components.securitySchemes : {}, (name, scheme) => [
          // Tools that try requests know the scheme in lower case, as its registry writes it.
          [name, isRecord(scheme) && scheme.scheme === "Bearer" ? { ...scheme, scheme: "bearer" } : scheme]
        ]),
        cookie: cookieScheme
      }
    }
  }
}
