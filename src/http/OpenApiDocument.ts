import { accessTokenCookie } from "./Middleware.ts"

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

type Json = Readonly<Record<string, unknown>>

const isRecord = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const plainName = (name: string) => name.replace(/Encoded$/, "")

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

/** Makes of Effect's OpenAPI document what a client should read. */
export const toOpenApiDocument = (document: Json): Record<string, unknown> => {
  const { components, ...rest } = withEntries(document, (key, value) => [[key, rewrite(value)]])
  if (!isRecord(components)) return rest
  const schemas = isRecord(components.schemas) ? components.schemas : {}
  const securitySchemes = isRecord(components.securitySchemes) ? components.securitySchemes : {}
  return {
    ...rest,
    components: {
      ...components,
      schemas: withEntries(schemas, (name, schema) => [[plainName(name), schema]]),
      securitySchemes: { ...securitySchemes, cookie: cookieScheme }
    }
  }
}
