import { HttpApiSecurity } from "effect/http-api"

/** The access token as a cookie, for pages of an allowed origin. */
export const accessTokenCookie = HttpApiSecurity.apiKey({ in: "cookie", key: "access_token" })

const description =
  "The access token as the cookie that login and refresh set for pages of an allowed origin. A request that changes something must then carry such an `Origin`."

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

const alsoByCookie = (operation: unknown) =>
  isRecord(operation) && Array.isArray(operation.security) && operation.security.length > 0
    ? { ...operation, security: [...operation.security, { cookie: [] }] }
    : operation

const mapValues = (record: unknown, f: (value: unknown) => unknown) =>
  isRecord(record) ? Object.fromEntries(Object.entries(record).map(([key, value]) => [key, f(value)])) : record

/** Adds the cookie to an OpenAPI document, wherever a bearer token is taken. */
export const describeCookie = (document: Record<string, unknown>): Record<string, unknown> => {
  const components = isRecord(document.components) ? document.components : {}
  const schemes = isRecord(components.securitySchemes) ? components.securitySchemes : {}
  const cookie = { type: "apiKey", in: accessTokenCookie.in, name: accessTokenCookie.key, description }
  return {
    ...document,
    components: { ...components, securitySchemes: { ...schemes, cookie } },
    paths: mapValues(document.paths, (path) => mapValues(path, alsoByCookie))
  }
}
