import { createServer, type ServerResponse } from "node:http"
import { Effect, Schedule, Schema } from "effect"
import { readStruct, type Struct, type Value } from "./Thrift.ts"
import { patience } from "./TimeLimits.ts"

/** A span as a collector reads it, in either format. */
export interface Collected {
  readonly protocol: "jaeger" | "otlp"
  readonly service: string
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentId: string | undefined
  /** "server", "client", …; undefined for what is internal to a process. */
  readonly kind: string | undefined
  readonly failed: boolean
  readonly attributes: Readonly<Record<string, unknown>>
  readonly links: ReadonlyArray<{ readonly traceId: string; readonly spanId: string }>
  readonly events: number
}

const structs = (value: Value | undefined): ReadonlyArray<Struct> =>
  Array.isArray(value) ? value.flatMap((item: Value) => (item instanceof Map ? [item] : [])) : []
const text = (value: Value | undefined) => (Buffer.isBuffer(value) ? value.toString() : "")
const hex = (value: Value | undefined) =>
  BigInt.asUintN(64, typeof value === "bigint" ? value : 0n)
    .toString(16)
    .padStart(16, "0")

/** Tags by the fields of jaeger.thrift: the value is in the field that follows from its type. */
const tags = (value: Value | undefined): Record<string, unknown> =>
  Object.fromEntries(
    structs(value).map((tag) => {
      const type = tag.get(2)
      const held = tag.get(typeof type === "number" ? type + 3 : 3)
      return [
        text(tag.get(1)),
        Buffer.isBuffer(held) ? held.toString() : typeof held === "bigint" ? Number(held) : held
      ]
    })
  )

/** A `Batch` of jaeger.thrift. */
const readJaeger = (body: Buffer): ReadonlyArray<Collected> => {
  const batch = readStruct(body)
  const process = batch.get(1)
  const service = process instanceof Map ? text(process.get(1)) : ""
  return structs(batch.get(2)).map((span) => {
    const attributes = tags(span.get(10))
    const parent = hex(span.get(4))
    return {
      protocol: "jaeger",
      service,
      name: text(span.get(5)),
      traceId: hex(span.get(2)) + hex(span.get(1)),
      spanId: hex(span.get(3)),
      parentId: /^0+$/.test(parent) ? undefined : parent,
      kind: attributes["span.kind"] === undefined ? undefined : String(attributes["span.kind"]),
      failed: attributes.error === true,
      attributes,
      links: structs(span.get(6)).map((link) => ({
        traceId: hex(link.get(3)) + hex(link.get(2)),
        spanId: hex(link.get(4))
      })),
      events: structs(span.get(11)).length
    }
  })
}

const Attributes = Schema.Array(
  Schema.Struct({ key: Schema.String, value: Schema.Record(Schema.String, Schema.Unknown) })
)

/** An `ExportTraceServiceRequest` as JSON: ids in hexadecimal, as OTLP has them and protobuf's JSON does not. */
const Request = Schema.Struct({
  resourceSpans: Schema.Array(
    Schema.Struct({
      resource: Schema.Struct({ attributes: Attributes }),
      scopeSpans: Schema.Array(
        Schema.Struct({
          spans: Schema.Array(
            Schema.Struct({
              traceId: Schema.String.check(Schema.isPattern(/^[0-9a-f]{32}$/)),
              spanId: Schema.String.check(Schema.isPattern(/^[0-9a-f]{16}$/)),
              parentSpanId: Schema.optionalKey(Schema.String),
              name: Schema.String,
              kind: Schema.Int,
              attributes: Attributes,
              links: Schema.Array(Schema.Struct({ traceId: Schema.String, spanId: Schema.String })),
              events: Schema.Array(Schema.Unknown),
              status: Schema.Struct({ code: Schema.Int })
            })
          )
        })
      )
    })
  )
})
const decodeOtlp = Schema.decodeUnknownSync(Schema.fromJsonString(Request))
const kinds = [undefined, undefined, "server", "client", "producer", "consumer"]
const record = (attributes: typeof Attributes.Type): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

const readOtlp = (body: Buffer): ReadonlyArray<Collected> =>
  decodeOtlp(body.toString()).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map(
        (span): Collected => ({
          protocol: "otlp",
          service: String(record(resource.attributes)["service.name"]),
          name: span.name,
          traceId: span.traceId,
          spanId: span.spanId,
          parentId: span.parentSpanId,
          kind: kinds[span.kind],
          failed: span.status.code === 2,
          attributes: { ...record(resource.attributes), ...record(span.attributes) },
          links: span.links,
          events: span.events.length
        })
      )
    )
  )

/** The paths to which spans are sent. */
export const endpoints = { jaeger: "/api/traces", otlp: "/v1/traces" }

/**
 * A collector of traces: Jaeger's Thrift at `/api/traces`, OTLP at `/v1/traces`. What it cannot read fails `errors`.
 * `mode` makes it refuse what comes, or take it and never answer.
 */
export const startCollector = Effect.gen(function* () {
  const spans: Array<Collected> = []
  const errors: Array<string> = []
  const bodies: Array<Buffer> = []
  const state: { mode: "well" | "refusing" | "hanging"; connections: number } = { mode: "well", connections: 0 }

  const take = (path: string, type: string | undefined, body: Buffer, response: ServerResponse) => {
    bodies.push(body)
    if (state.mode === "hanging") return
    if (state.mode === "refusing") return response.writeHead(503).end()
    try {
      if (path === endpoints.jaeger && type === "application/x-thrift") spans.push(...readJaeger(body))
      else if (path === endpoints.otlp && type === "application/json") spans.push(...readOtlp(body))
      else throw new Error(`${type} at ${path}`)
      response.writeHead(200).end()
    } catch (error) {
      errors.push(String(error))
      response.writeHead(400).end()
    }
  }

  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => take(request.url ?? "", request.headers["content-type"], Buffer.concat(chunks), response))
  })
  server.on("connection", (socket) => {
    state.connections++
    socket.once("close", () => state.connections--)
  })
  const port = yield* Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )

  return {
    spans,
    errors,
    state,
    /** Everything that has arrived, as one text to search. */
    text: () => Buffer.concat(bodies).toString("latin1"),
    endpoint: (protocol: keyof typeof endpoints) => `http://127.0.0.1:${port}${endpoints[protocol]}`,
    /** Waits for a span, and returns it. */
    span: (wants: (span: Collected) => boolean, what: string) =>
      Effect.suspend(() => {
        const found = spans.find(wants)
        return found === undefined ? Effect.fail("not yet" as const) : Effect.succeed(found)
      }).pipe(
        Effect.retry(Schedule.spaced("20 millis")),
        Effect.timeoutOrElse({
          duration: patience,
          orElse: () =>
            Effect.suspend(() =>
              Effect.die(new Error(`no ${what} among ${spans.map(({ name }) => name).join(", ")}; ${errors.join()}`))
            )
        })
      )
  }
})
