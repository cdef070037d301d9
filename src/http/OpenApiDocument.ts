import { exampleOf } from "./Examples.ts"
import { isRecord, type Json, makeJsonSchemas, plainName } from "./JsonSchemas.ts"
import { accessTokenCookie } from "./Middleware.ts"
import { otherPaths } from "./OtherRoutes.ts"

/** The parameters that are numbers, which Effect describes as the strings that they are in a URL; unless they say more. */
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

const withEntries = (record: Json, f: (key: string, value: unknown) => ReadonlyArray<readonly [string, unknown]>) =>
  Object.fromEntries(Object.entries(record).flatMap(([key, value]) => f(key, value)))

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
    if (key === "security" && Array.isArray(inner) && inner.length > 0) return [[key, [...inner, { cookie: [] }]]]
    return [[key, rewrite(inner)]]
  })
}

/** A problem always says these, over HTTP. Its example is with its Schema, since it can come from everywhere. */
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

const header = (description: string, type: string) => ({ description, schema: { type } })
const headers: Record<string, Json> = {
  401: { "WWW-Authenticate": header("`Bearer`", "string") },
  429: { "Retry-After": header("In how many seconds to try again", "integer") },
  503: { "Retry-After": header("In how many seconds to try again", "integer") }
}

/** With an example of each body, made from its Schema. */
const withExamples = (content: unknown, schemas: Json, complete: boolean): Json =>
  withEntries(isRecord(content) ? content : {}, (type, media) => [
    [
      type,
      isRecord(media) && type === "application/json"
        ? { ...media, example: exampleOf(media.schema, schemas, complete) }
        : media
    ]
  ])

/** The name of the problem that a response tells in its usual words; such a response is told once for all. */
const usualProblem = ({ content, description }: Json, schemas: Json): string | undefined => {
  const media = isRecord(content) && Object.keys(content).length === 1 ? content["application/problem+json"] : undefined
  const schema = isRecord(media) ? media.schema : undefined
  const name = isRecord(schema) ? String(schema.$ref).replace("#/components/schemas/", "") : ""
  return JSON.stringify(schemas[name] ?? null).includes(JSON.stringify([description])) ? name : undefined
}

const operation = (value: unknown, schemas: Json, problems: Record<string, unknown>): unknown => {
  if (!isRecord(value) || !isRecord(value.responses)) return value
  const { requestBody, responses } = value
  return {
    ...value,
    ...(isRecord(requestBody) && {
      requestBody: { ...requestBody, content: withExamples(requestBody.content, schemas, false) }
    }),
    responses: withEntries(responses, (status, response) => {
      if (!isRecord(response) || response.content === undefined) return [[status, response]]
      const whole = { ...response, ...(headers[status] !== undefined && { headers: headers[status] }) }
      const problem = usualProblem(response, schemas)
      if (problem === undefined) return [[status, { ...whole, content: withExamples(response.content, schemas, true) }]]
      problems[problem] = whole
      return [[status, { $ref: `#/components/responses/${problem}` }]]
    })
  }
}

/** Makes of Effect's OpenAPI document what a client should read: every path that is served, with examples. */
export const toOpenApiDocument = (document: Json): Record<string, unknown> => {
  const { components, paths, ...rest } = withEntries(document, (key, value) => [[key, rewrite(value)]])
  if (!isRecord(components) || !isRecord(components.schemas) || !isRecord(paths)) return { ...rest, components, paths }
  const json = makeJsonSchemas()
  const others = otherPaths(json.of)
  const named = { ...json.components, ...components.schemas }
  const schemas = withEntries(named, (name, schema) => [[plainName(name), completed(schema, named)]])
  const problems: Record<string, unknown> = {}
  return {
    ...rest,
    servers: [{ url: "/", description: "This service" }],
    paths: withEntries({ ...paths, ...others }, (path, item) => [
      [
        path,
        withEntries(isRecord(item) ? item : {}, (method, value) => [[method, operation(value, schemas, problems)]])
      ]
    ]),
    components: {
      ...components,
      schemas,
      responses: problems,
      securitySchemes: {
        ...(isRecord(components.securitySchemes) ? components.securitySchemes : {}),
        cookie: cookieScheme
      }
    }
  }
}
