import { assert, describe, it } from "@effect/vitest"
import { SpanKind, SpanStatusCode, TraceFlags } from "@opentelemetry/api"
import { resourceFromAttributes } from "@opentelemetry/resources"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import { encodeBatch } from "../../src/layers/telemetry/JaegerExporter.ts"
import { readStruct, type Value } from "../support/Thrift.ts"

const context = {
  traceId: "ffffffffffffffff0000000000000001",
  spanId: "8000000000000000",
  traceFlags: TraceFlags.SAMPLED
}

const span: ReadableSpan = {
  name: "message.send",
  kind: SpanKind.SERVER,
  spanContext: () => context,
  parentSpanContext: { ...context, spanId: "00f067aa0ba902b7" },
  startTime: [1_700_000_000, 123_456_789],
  endTime: [1_700_000_001, 0],
  duration: [0, 876_543_211],
  status: { code: SpanStatusCode.ERROR },
  attributes: { "chat.batch.size": 1.5, "chat.sealed": false, "user.name": "Zoë 🎈", "chat.ids": ["a", "b"] },
  links: [{ context }],
  events: [{ name: "retried", time: [1_700_000_000, 500_000_000], attributes: { attempt: 2 } }],
  ended: true,
  resource: resourceFromAttributes({ "service.name": "chat", "service.version": "1.2.3" }),
  instrumentationScope: { name: "chat-service", version: "1.2.3" },
  droppedAttributesCount: 1,
  droppedEventsCount: 2,
  droppedLinksCount: 3
}

/** The value with the names of fields instead of their ids, and with texts instead of bytes. */
const readable = (value: Value | undefined): unknown =>
  Buffer.isBuffer(value)
    ? value.toString()
    : Array.isArray(value)
      ? value.map(readable)
      : value instanceof Map
        ? Object.fromEntries([...value].map(([id, field]) => [id, readable(field)]))
        : value

const text = (key: string, value: string) => ({ 1: key, 2: 0, 3: value })
const number = (key: string, value: number) => ({ 1: key, 2: 1, 4: value })
const bool = (key: string, value: boolean) => ({ 1: key, 2: 2, 5: value })

describe("spans for Jaeger", () => {
  it("have everything that jaeger.thrift has a place for", () => {
    assert.deepStrictEqual(readable(readStruct(encodeBatch([span], span))), {
      1: { 1: "chat" },
      2: [
        {
          1: 1n,
          2: -1n,
          3: -(2n ** 63n),
          4: 0xf067aa0ba902b7n,
          5: "message.send",
          6: [{ 1: 1, 2: 1n, 3: -1n, 4: -(2n ** 63n) }],
          7: 1,
          8: 1_700_000_000_123_457n,
          9: 876_543n,
          10: [
            number("chat.batch.size", 1.5),
            bool("chat.sealed", false),
            text("user.name", "Zoë 🎈"),
            text("chat.ids", "a,b"),
            text("otel.status_code", "ERROR"),
            bool("error", true),
            text("span.kind", "server"),
            number("otel.dropped_attributes_count", 1),
            number("otel.dropped_events_count", 2),
            number("otel.dropped_links_count", 3),
            text("service.name", "chat"),
            text("service.version", "1.2.3"),
            text("otel.library.name", "chat-service"),
            text("otel.library.version", "1.2.3")
          ],
          11: [{ 1: 1_700_000_000_500_000n, 2: [text("event", "retried"), number("attempt", 2)] }]
        }
      ]
    })
  })

  it("may be many and long, and need no parent", () => {
    const { parentSpanContext: _, ...root } = span
    const long = { ...root, name: "n".repeat(100_000), kind: SpanKind.INTERNAL, status: { code: SpanStatusCode.UNSET } }
    const spans = readStruct(
      encodeBatch(
        Array.from({ length: 500 }, () => long),
        long
      )
    ).get(2)
    assert.isTrue(Array.isArray(spans) && spans.length === 500)
    const last = Array.isArray(spans) ? spans.at(-1) : undefined
    assert.isTrue(last instanceof Map && last.get(4) === 0n && String(last.get(5)) === long.name)
  })
})
