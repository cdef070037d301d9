import { SpanKind, SpanStatusCode } from "@opentelemetry/api"
import { type ExportResult, ExportResultCode } from "@opentelemetry/core"
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base"

const textOf = (value: unknown) => (typeof value === "string" ? value : undefined)

/**
 * The span as it is exported. The message and stack of an exception may contain private data, so that only its type is
 * exported; the log has the rest. The route of a request is only known after its span was named, so the name is made here.
 *
 * Spans are objects with getters, so the fields are copied one by one.
 */
const exported = (span: ReadableSpan): ReadableSpan => {
  const exception = span.events.find((event) => event.name === "exception")?.attributes
  // A server span sets `error.type` itself when the error was the fault of the server.
  const errorType =
    span.attributes["error.type"] ?? (span.kind === SpanKind.SERVER ? undefined : exception?.["exception.type"])
  const route = textOf(span.attributes["http.route"])
  return {
    name: route === undefined ? span.name : `${textOf(span.attributes["http.request.method"])} ${route}`,
    attributes: errorType === undefined ? span.attributes : { ...span.attributes, "error.type": errorType },
    events: span.events.filter((event) => event.name !== "exception"),
    status: { code: errorType === undefined ? SpanStatusCode.UNSET : SpanStatusCode.ERROR },
    kind: span.kind,
    spanContext: () => span.spanContext(),
    ...(span.parentSpanContext !== undefined && { parentSpanContext: span.parentSpanContext }),
    startTime: span.startTime,
    endTime: span.endTime,
    duration: span.duration,
    ended: span.ended,
    links: span.links,
    resource: span.resource,
    instrumentationScope: span.instrumentationScope,
    droppedAttributesCount: span.droppedAttributesCount,
    droppedEventsCount: span.droppedEventsCount,
    droppedLinksCount: span.droppedLinksCount
  }
}

/**
 * The exporter for an endpoint: it uses OTLP if the path ends in `/v1/traces`, and Jaeger's Thrift format otherwise. Each
 * has a hundred modules, which no start should wait for.
 */
export const exporterFor = async (endpoint: string, patienceMs: number): Promise<SpanExporter> => {
  if (new URL(endpoint).pathname.endsWith("/v1/traces")) {
    const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-http")
    return new OTLPTraceExporter({ url: endpoint, timeoutMillis: patienceMs })
  }
  const { JaegerExporter } = await import("./JaegerExporter.ts")
  return new JaegerExporter(endpoint)
}

/**
 * Sends spans, and waits at most `patienceMs` for each batch. If the collector does not answer in that time, the exporter
 * that waits is shut down, and the next batch uses a new one. A batch that could not be sent is lost, and `onFailure` is
 * called with the reason.
 */
export class PatientExporter implements SpanExporter {
  private readonly make: () => Promise<SpanExporter>
  private readonly patienceMs: number
  private readonly onFailure: (reason: string) => void
  private inner: Promise<SpanExporter> | undefined

  constructor(make: () => Promise<SpanExporter>, patienceMs: number, onFailure: (reason: string) => void) {
    this.make = make
    this.patienceMs = patienceMs
    this.onFailure = onFailure
  }

  /** Sends one batch, without what must not leave the process. Calls `done` once, after at most `patienceMs`. */
  export(spans: Array<ReadableSpan>, done: (result: ExportResult) => void): void {
    const exporter = this.inner ?? this.make()
    this.inner = exporter
    let over = false
    const finish = (result: ExportResult) => {
      // An exporter that was given up reports that too.
      if (over) return
      over = true
      clearTimeout(timer)
      if (result.code === ExportResultCode.FAILED) this.onFailure(result.error?.message ?? "refused")
      done(result)
    }
    const timer = setTimeout(() => {
      this.inner = undefined
      finish({ code: ExportResultCode.FAILED, error: new Error(`no answer within ${this.patienceMs} ms`) })
      // Its rejection repeats the failure that was reported above.
      exporter.then((made) => made.shutdown()).catch(() => {})
    }, this.patienceMs)
    timer.unref()
    exporter
      .then((made) => made.export(spans.map(exported), finish))
      .catch((error) => finish({ code: ExportResultCode.FAILED, error }))
  }

  /** Ends the exporter in use, after which a batch would use a new one. */
  async shutdown(): Promise<void> {
    await (await this.inner)?.shutdown()
  }
}
