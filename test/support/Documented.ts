import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js"
import formats from "ajv-formats"
import { asyncApiDocument, openApiDocument } from "../../src/http/documents/Docs.ts"
import { isRecord } from "../../src/http/documents/JsonSchemas.ts"

/** A copy of the schema in which no object may have a property that is not described. */
const closed = (schema: unknown): unknown => {
  if (Array.isArray(schema)) return schema.map(closed)
  if (!isRecord(schema)) return schema
  const open = schema.additionalProperties === undefined || schema.additionalProperties === true
  return {
    ...Object.fromEntries(Object.entries(schema).map(([key, inner]) => [key, closed(inner)])),
    ...(isRecord(schema.properties) && schema.type === "object" && open && { additionalProperties: false })
  }
}

const entries = (value: unknown) => Object.entries(isRecord(value) ? value : {})
const within = (value: unknown, ...keys: ReadonlyArray<string>): unknown =>
  keys.reduce<unknown>((inner, key) => (isRecord(inner) ? inner[key] : undefined), value)

const pointer = (keys: ReadonlyArray<string>) =>
  keys.map((key) => encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/")

/** Reads one of the documents; its parts become validators when they are first needed. */
const make = (id: string, document: () => object) => {
  let whole: unknown
  const known = new Map<string, ValidateFunction | undefined>()
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false })
  formats.default(ajv)
  const get = () => {
    if (whole === undefined) {
      whole = document()
      ajv.addSchema(Object(closed(whole)), id)
    }
    return whole
  }
  const complaint = (value: unknown, ...keys: ReadonlyArray<string>): string | undefined => {
    const path = pointer(keys)
    if (!known.has(path))
      known.set(path, within(get(), ...keys) === undefined ? undefined : ajv.compile({ $ref: `${id}#/${path}` }))
    const validate = known.get(path)
    if (validate === undefined) return `${id} has no ${keys.join(" ")}`
    if (validate(value)) return undefined
    return `${keys.join(" ")}: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(value).slice(0, 2000)}`
  }
  return { get, complaint }
}

const openApi = make("openapi", openApiDocument)
const asyncApi = make("asyncapi", asyncApiDocument)

let templates: ReadonlyArray<readonly [string, RegExp]> | undefined

/** The path of the document that matches the path of a URL; one without parameters comes before one with. */
const templateOf = (path: string) => {
  templates ??= entries(within(openApi.get(), "paths"))
    .map(
      ([template]) =>
        [template, new RegExp(`^${template.replaceAll(".", "\\.").replace(/\{\w+\}/g, "[^/]+")}$`)] as const
    )
    .sort(([a], [b]) => a.split("{").length - b.split("{").length)
  return templates.find(([, shape]) => shape.test(path))?.[0]
}

/** Where no operation is described, the only valid answer is a problem. */
const anyProblem = (value: unknown) =>
  asyncApi.complaint(value, "components", "messages", "problem", "payload", "properties", "error")

interface HttpAnswer {
  readonly method: string
  /** With or without a query. */
  readonly path: string
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

const complaintOf = ({ headers, method, path, status, text }: HttpAnswer): string | undefined => {
  const type = headers.get("content-type")?.split(";", 1)[0] ?? ""
  const template = templateOf(path.split("?", 1)[0] ?? "")
  const operation = template && within(openApi.get(), "paths", template, method.toLowerCase())
  if (template === undefined || operation === undefined) {
    if (method === "OPTIONS" || method === "HEAD") return undefined
    return status >= 400 ? anyProblem(JSON.parse(text)) : "is not described"
  }
  const place = ["paths", template, method.toLowerCase(), "responses", String(status)]
  const given = within(openApi.get(), ...place)
  if (given === undefined) return "has no such status"
  const shared = within(given, "$ref")
  const keys = typeof shared === "string" ? shared.slice("#/".length).split("/") : place
  const response = within(openApi.get(), ...keys)
  const missing = entries(within(response, "headers")).find(([name]) => /^RateLimit/.test(name) && !headers.has(name))
  if (missing !== undefined) return `has no ${missing[0]}`
  const content = within(response, "content")
  if (text === "" && (content === undefined || method === "HEAD")) return undefined
  if (within(content, "*/*") !== undefined) return undefined
  if (within(content, type) === undefined) return `has no content ${type}`
  return type.endsWith("json") && !type.endsWith("ndjson")
    ? openApi.complaint(JSON.parse(text), ...keys, "content", type, "schema")
    : undefined
}

/** Every problem tells people what happened, but a fault of ours, of which the answer tells only the id. */
const lacksDetail = ({ headers, status, text }: HttpAnswer): boolean =>
  status !== 500 &&
  text !== "" &&
  headers.get("content-type") === "application/problem+json" &&
  typeof within(JSON.parse(text), "detail") !== "string"

/** Fails unless OpenAPI describes such an answer, and says what happened if it is a problem. */
export const mustBeDescribed = (answer: HttpAnswer): void => {
  const complaint = lacksDetail(answer) ? "a problem has no detail" : complaintOf(answer)
  if (complaint !== undefined)
    throw new Error(`${answer.method} ${answer.path} → ${answer.status} against /openapi.json: ${complaint}`)
}

/**
 * Fails unless AsyncAPI describes such a frame of the server. `op` is the operation that it answers, if that is known.
 */
export const mustBeDescribedFrame = (frame: unknown, op: string | undefined): void => {
  const name = isRecord(frame) && "event" in frame ? `event.${String(frame.event)}` : undefined
  if (name === undefined && op === undefined) return
  const message = name ?? (isRecord(frame) && "error" in frame ? "problem" : `${op}.ok`)
  const complaint = asyncApi.complaint(frame, "components", "messages", message, "payload")
  if (complaint !== undefined) throw new Error(`a frame against /asyncapi.json: ${complaint}`)
}
