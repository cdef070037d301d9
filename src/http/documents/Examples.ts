import { isRecord, type Json } from "./JsonSchemas.ts"

const uuid = "01a2043c-28fd-7796-a162-b31a62d331aa"
const time = "2026-11-22T17:09:41.246Z"

/** Typical values, by the name of the property. */
const texts: Record<string, string> = {
  username: "ann",
  displayName: "Ann",
  email: "ann@example.com",
  externalId: "customer-1",
  externalKey: "order-123",
  login: "ann",
  password: "correct horse",
  currentPassword: "correct horse",
  newPassword: "battery staple",
  body: "Hello",
  excerpt: "Hello",
  title: "Weekend",
  emoji: "👍",
  query: "hello",
  clientMessageId: "7f3c1",
  avatarUrl: "https://example.com/ann.png",
  url: "https://example.com/file.png",
  accessToken: "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl",
  refreshToken: "cmVmcmVzaA.1.c2lnbmF0dXJl",
  subject_token: "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.e30.c2lnbmF0dXJl",
  access_token: "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl",
  refresh_token: "cmVmcmVzaA.1.c2lnbmF0dXJl",
  nextCursor: "WyJvcGFxdWUiXQ",
  userAgent: "Mozilla/5.0",
  ip: "192.0.2.1",
  contentType: "image/png",
  name: "file.png",
  code: "k7JmQ2xT",
  requestId: uuid,
  detail: "What was wrong, in words"
}

const fallbacks = ["text", "1", "2026-11-22", "https://example.com"]

const text = (name: string, schema: Json): string => {
  const pattern = typeof schema.pattern === "string" ? new RegExp(schema.pattern, "u") : undefined
  const candidates = [
    texts[name] ?? [],
    schema.format === "date-time" ? time : [],
    /(^|[a-z])Ids?$|^(id|mentions|userIds|memberIds)$|(Root|replyTo)$/.test(name) ? uuid : [],
    fallbacks
  ].flat()
  return candidates.find((candidate) => pattern === undefined || pattern.test(candidate)) ?? ""
}

const number = ({ exclusiveMinimum, maximum, minimum }: Json): number => {
  const least = Number(minimum ?? (exclusiveMinimum === undefined ? 0 : Number(exclusiveMinimum) + 1))
  return Math.min(Math.max(least, 1), Number(maximum ?? 1))
}

/**
 * Makes a value that fits a JSON Schema. A `complete` one has every property, as an answer has; otherwise it has only
 * the required properties.
 */
export const exampleOf = (schema: unknown, components: Json, complete: boolean, name = ""): unknown => {
  const of = (inner: unknown, innerName = name): unknown => exampleOf(inner, components, complete, innerName)
  if (!isRecord(schema)) return {}
  if (typeof schema.$ref === "string") return of(components[schema.$ref.replace("#/components/schemas/", "")])
  if (Array.isArray(schema.enum)) return schema.enum[0]
  if ("const" in schema) return schema.const
  if (Array.isArray(schema.allOf)) return of(Object.assign({}, { ...schema, allOf: undefined }, ...schema.allOf))
  const choices = schema.anyOf ?? schema.oneOf
  if (Array.isArray(choices)) {
    const empty = choices.find((choice) => isRecord(choice) && choice.type === "null")
    return empty === undefined ? of(choices[0]) : null
  }
  switch (schema.type) {
    case "object": {
      const required = Array.isArray(schema.required) ? schema.required : []
      const properties = Object.entries(isRecord(schema.properties) ? schema.properties : {})
      return Object.fromEntries(
        properties.filter(([key]) => complete || required.includes(key)).map(([key, inner]) => [key, of(inner, key)])
      )
    }
    case "array":
      return Array.from({ length: Math.max(1, Number(schema.minItems ?? 1)) }, () => of(schema.items))
    case "string":
      return text(name, schema)
    case "integer":
    case "number":
      return number(schema)
    case "boolean":
      return false
    default:
      return null
  }
}
