import { Agent, request } from "node:http"
import { Agent as SecureAgent, request as secureRequest } from "node:https"
import { SpanKind, SpanStatusCode } from "@opentelemetry/api"
import { type ExportResult, ExportResultCode, hrTimeToMicroseconds } from "@opentelemetry/core"
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base"
import { ThriftWriter, thriftType } from "./ThriftWriter.ts"

type Tag = readonly [key: string, value: unknown]

/** What all spans of one process and library have in common. */
type Origin = Pick<ReadableSpan, "resource" | "instrumentationScope">

const noParent = "0".repeat(16)

/** The values of `TagType` and `SpanRefType` in jaeger.thrift. */
const tagType = { text: 0, double: 1, bool: 2 }
const followsFrom = 1

const writeTag = (out: ThriftWriter, [key, value]: Tag) => {
  out.text(1, key)
  if (typeof value === "number") {
    out.i32(2, tagType.double)
    out.double(4, value)
  } else if (typeof value === "boolean") {
    out.i32(2, tagType.bool)
    out.bool(5, value)
  } else {
    out.i32(2, tagType.text)
    out.text(3, String(value))
  }
  out.stop()
}

const originTags = ({ instrumentationScope, resource }: Origin): ReadonlyArray<Tag> => [
  ...Object.entries(resource.attributes),
  ["otel.library.name", instrumentationScope.name],
  ["otel.library.version", instrumentationScope.version]
]

/** The tags of one span alone. */
const ownTags = (span: ReadableSpan): ReadonlyArray<Tag> => {
  const tags: Array<Tag> = Object.entries(span.attributes)
  if (span.status.code === SpanStatusCode.ERROR) tags.push(["otel.status_code", "ERROR"], ["error", true])
  if (span.kind !== SpanKind.INTERNAL) tags.push(["span.kind", SpanKind[span.kind].toLowerCase()])
  if (span.droppedAttributesCount > 0) tags.push(["otel.dropped_attributes_count", span.droppedAttributesCount])
  if (span.droppedEventsCount > 0) tags.push(["otel.dropped_events_count", span.droppedEventsCount])
  if (span.droppedLinksCount > 0) tags.push(["otel.dropped_links_count", span.droppedLinksCount])
  return tags
}

/** Writes one span. `common` are the encoded tags that it shares with all others. */
const writeSpan = (
  out: ThriftWriter,
  span: ReadableSpan,
  common: { readonly count: number; readonly bytes: Buffer }
) => {
  const { spanId, traceFlags, traceId } = span.spanContext()
  out.hex64(1, traceId.slice(16))
  out.hex64(2, traceId.slice(0, 16))
  out.hex64(3, spanId)
  out.hex64(4, span.parentSpanContext?.spanId ?? noParent)
  out.text(5, span.name)
  out.list(6, thriftType.struct, span.links.length)
  for (const { context } of span.links) {
    out.i32(1, followsFrom)
    out.hex64(2, context.traceId.slice(16))
    out.hex64(3, context.traceId.slice(0, 16))
    out.hex64(4, context.spanId)
    out.stop()
  }
  out.i32(7, traceFlags)
  out.i64(8, hrTimeToMicroseconds(span.startTime))
  out.i64(9, hrTimeToMicroseconds(span.duration))
  const tags = ownTags(span)
  out.list(10, thriftType.struct, tags.length + common.count)
  for (const tag of tags) writeTag(out, tag)
  out.raw(common.bytes)
  out.list(11, thriftType.struct, span.events.length)
  for (const { attributes = {}, name, time } of span.events) {
    const fields: ReadonlyArray<Tag> = [["event", name], ...Object.entries(attributes)]
    out.i64(1, hrTimeToMicroseconds(time))
    out.list(2, thriftType.struct, fields.length)
    for (const field of fields) writeTag(out, field)
    out.stop()
  }
  out.stop()
}

/** A `Batch` of jaeger.thrift in the binary protocol, with the spans of one tracer. */
export const encodeBatch = (spans: ReadonlyArray<ReadableSpan>, origin: Origin): Buffer => {
  const shared = originTags(origin)
  const tags = new ThriftWriter(1024)
  for (const tag of shared) writeTag(tags, tag)
  const common = { count: shared.length, bytes: tags.bytes() }

  const out = new ThriftWriter(1024 * (spans.length + 1))
  out.struct(1)
  out.text(1, String(origin.resource.attributes["service.name"]))
  out.stop()
  out.list(2, thriftType.struct, spans.length)
  for (const span of spans) writeSpan(out, span, common)
  out.stop()
  return out.bytes()
}

/**
 * Sends spans of one tracer to Jaeger as Thrift over HTTP, one request for each batch. OpenTelemetry's own exporter for
 * Jaeger, which is no longer maintained, takes several times as long as making the spans.
 */
export class JaegerExporter implements SpanExporter {
  private readonly endpoint: URL
  private readonly agent: Agent

  constructor(endpoint: string) {
    this.endpoint = new URL(endpoint)
    this.agent = new (this.endpoint.protocol === "https:" ? SecureAgent : Agent)({ keepAlive: true })
  }

  /** Sends one batch. */
  export(spans: Array<ReadableSpan>, done: (result: ExportResult) => void): void {
    const [first] = spans
    if (first === undefined) {
      done({ code: ExportResultCode.SUCCESS })
      return
    }
    const fail = (error: Error) => done({ code: ExportResultCode.FAILED, error })
    const send = this.endpoint.protocol === "https:" ? secureRequest : request
    const headers = { "content-type": "application/x-thrift" }
    send(this.endpoint, { method: "POST", agent: this.agent, headers }, (response) => {
      response.resume()
      const { statusCode = 0 } = response
      if (statusCode < 400) done({ code: ExportResultCode.SUCCESS })
      else fail(new Error(`the collector answered with HTTP ${statusCode}`))
    })
      .on("error", fail)
      .end(encodeBatch(spans, first))
  }

  /** Closes the connections, also those that wait for an answer. */
  async shutdown(): Promise<void> {
    this.agent.destroy()
  }
}
