import { SpanKind, SpanStatusCode } from "@opentelemetry/api"
import { type ExportResult, ExportResultCode } from "@opentelemetry/core"
import { JaegerExporter } from "@opentelemetry/exporter-jaeger"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base"

const textOf = (value: unknown) => (typeof value === "string" ? value : undefined)

/**
 * The span as a collector may see it. An exception's message and stack may hold what is private, so only its type is
 * told; the log has the rest. A request's route is known only after its span has got a name.
 */
const presentable = (span: ReadableSpan): ReadableSpan => {
  const { attributes, events, kind, name } = span
  const exception = events.find((event) => event.name === "exception")?.attributes
  // Who serves says by itself what was a fault of his.
  const errorType = attributes["error.type"] ?? (kind === SpanKind.SERVER ? undefined : exception?.["exception.type"])
  const route = textOf(attributes["http.route"])
  return Object.create(span, {
    name: { value: route === undefined ? name : `${textOf(attributes["http.request.method"])} ${route}` },
    attributes: { value: errorType === undefined ? attributes : { ...attributes, "error.type": errorType } },
    events: { value: events.filter((event) => event.name !== "exception") },
    status: { value: { code: errorType === undefined ? SpanStatusCode.UNSET : SpanStatusCode.ERROR } }
  })
}

/** Speaks OTLP to an endpoint that ends in `/v1/traces`, Jaeger's Thrift to any other. */
export const exporterFor = (endpoint: string, patienceMs: number): SpanExporter =>
  new URL(endpoint).pathname.endsWith("/v1/traces")
    ? new OTLPTraceExporter({ url: endpoint, timeoutMillis: patienceMs })
    : new JaegerExporter({ endpoint })

/**
 * Sends spans, each batch for `patienceMs` at most. A collector that does not answer keeps no connection: the exporter
 * that waits for it is ended, and the next batch gets a new one. What could not be sent is lost, and `onFailure` told.
 */
export class PatientExporter implements SpanExporter {
  private readonly make: () => SpanExporter
  private readonly patienceMs: number
  private readonly onFailure: (reason: string) => void
  private inner: SpanExporter | undefined

  constructor(make: () => SpanExporter, patienceMs: number, onFailure: (reason: string) => void) {
    this.make = make
    this.patienceMs = patienceMs
    this.onFailure = onFailure
  }

  export(spans: Array<ReadableSpan>, done: (result: ExportResult) => void): void {
    const exporter = this.inner ?? this.make()
    this.inner = exporter
    let over = false
    const finish = (result: ExportResult) => {
      // Jaeger's exporter may report one failure several times.
      if (over) return
      over = true
      clearTimeout(timer)
      if (result.code === ExportResultCode.FAILED) this.onFailure(result.error?.message ?? "refused")
      done(result)
    }
    const timer = setTimeout(() => {
      this.inner = undefined
      finish({ code: ExportResultCode.FAILED, error: new Error(`no answer within ${this.patienceMs} ms`) })
      // It says again what has been said.
      exporter.shutdown().catch(() => {})
    }, this.patienceMs)
    timer.unref()
    exporter.export(spans.map(presentable), finish)
  }

  async shutdown(): Promise<void> {
    await this.inner?.shutdown()
  }
}
