import { type Clock, Context, Effect, Exit, type Fiber, Option, Random, Tracer } from "effect"
import { Internal, Unavailable } from "../../domain/Problem.ts"

/** The name and attributes of a span, by OpenTelemetry's semantic conventions. They never hold a body or a secret. */
interface SpanStart {
  readonly name: string
  readonly kind: Tracer.SpanKind
  readonly attributes: Readonly<Record<string, string | number | boolean>>
}

const wellFormed = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/** The caller's span that a W3C `traceparent` names, or undefined when it is not one (then it must be ignored). */
const parseTraceparent = (text: string): Tracer.ExternalSpan | undefined => {
  const [, version, traceId, spanId, flags = "", more] = wellFormed.exec(text) ?? []
  // Later versions may append fields.
  if (traceId === undefined || spanId === undefined || (version === "00" && more !== undefined)) return undefined
  return Tracer.externalSpan({ traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 })
}

/** The W3C `traceparent` of a span, for a header or a frame. */
export const traceparentOf = ({
  sampled,
  spanId,
  traceId
}: Pick<Tracer.AnySpan, "traceId" | "spanId" | "sampled">): string => `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`

/**
 * The span that a fiber works in, if its trace is sampled. Only then has the fiber a tracer of its own: the spans that
 * Effect makes elsewhere go nowhere.
 */
export const sampledSpan = ({ cache }: Fiber.Fiber<unknown, unknown>): Tracer.AnySpan | undefined =>
  cache.tracer !== undefined && cache.tracerEnabled && cache.span?.sampled === true ? cache.span : undefined

/** The `traceparent` of the fiber's span; undefined when nothing is traced. */
export const currentTraceparent = (fiber: Fiber.Fiber<unknown, unknown>): string | undefined => {
  const span = sampledSpan(fiber)
  return span && traceparentOf(span)
}

/** Spans do not say where in the source they begin, which would take a stack trace for each. */
const plain = { captureStackTrace: false }

/** Runs `self` in a span if there is a sampled trace; otherwise it costs nothing, so that a hot path may use it. */
export const spanned =
  (name: string) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) => (sampledSpan(fiber) === undefined ? self : Effect.withSpan(self, name, plain)))

/** Runs work that outlives the request that starts it, and so belongs to no trace. */
export const untraced = Effect.withTracerEnabled(false)

/** Marks the span of an operation when the failure is our fault. A mistake of the caller is no error of the span. */
export const markFault = (error: unknown): Effect.Effect<void> =>
  error instanceof Internal || error instanceof Unavailable
    ? Effect.annotateCurrentSpan("error.type", error._tag)
    : Effect.void

/** Continues in the given span, also within `untraced` work. */
export const within =
  (span: Tracer.AnySpan) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withTracerEnabled(Effect.withParentSpan(self, span, plain), true)

/**
 * Where traces come in and where they change fibers or nodes. One decision says whether a trace is sampled: that of the
 * caller who sends a `traceparent`, or else that of `tracing.sample_rate` at its root. Only the work of sampled traces
 * has a tracer, so that all other work pays nothing.
 */
interface TracingShape {
  /** Runs `self` in a span that continues the caller's trace or begins one; without a span if that is not sampled. */
  readonly incoming: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    traceparent: string | undefined,
    start: () => SpanStart
  ) => Effect.Effect<A, E, R>
  /**
   * Runs work that several callers wait for in one span, which belongs to the trace of the first of them and is linked
   * with the others.
   */
  readonly batch: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    waiting: ReadonlyArray<Tracer.AnySpan | undefined>,
    start: () => SpanStart
  ) => Effect.Effect<A, E, R>
  /** Calls `work` in a span that continues a sampled `traceparent`, and hands it the `traceparent` of that span. */
  readonly step: <A>(
    traceparent: string | undefined,
    start: () => SpanStart,
    work: (traceparent: string | undefined) => A
  ) => A
}

/** Traces into `tracer`. */
export const makeTracing = (tracer: Tracer.Tracer, sampleRate: number, clock: Clock.Clock): TracingShape => {
  const on = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.provideService(self, Tracer.Tracer, tracer)

  return {
    incoming: (self, traceparent, start) =>
      Effect.withFiber((fiber) => {
        const parent = traceparent === undefined ? undefined : parseTraceparent(traceparent)
        const sampled = parent?.sampled ?? fiber.getRef(Random.Random).nextDoubleUnsafe() < sampleRate
        if (!sampled) return self
        const { name, ...options } = start()
        return on(Effect.withSpan(self, name, { ...options, ...plain, parent, root: parent === undefined }))
      }),

    batch: (self, waiting, start) => {
      const [parent, ...others] = waiting.filter((span) => span !== undefined)
      if (parent === undefined) return self
      const { name, ...options } = start()
      const links = others.map((span) => ({ span, attributes: {} }))
      return on(
        Effect.useSpan(name, { ...options, ...plain, parent, links }, (span) => {
          for (const other of others) if (other._tag === "Span") other.addLinks([{ span, attributes: {} }])
          return within(span)(self)
        })
      )
    },

    step: (traceparent, start, work) => {
      const parent = traceparent === undefined ? undefined : parseTraceparent(traceparent)
      if (parent?.sampled !== true) return work(undefined)
      const { attributes, kind, name } = start()
      const span = tracer.span({
        name,
        kind,
        parent: Option.some(parent),
        annotations: Context.empty(),
        links: [],
        startTime: clock.currentTimeNanosUnsafe(),
        root: false,
        sampled: true
      })
      for (const [key, value] of Object.entries(attributes)) span.attribute(key, value)
      try {
        return work(traceparentOf(span))
      } finally {
        span.end(clock.currentTimeNanosUnsafe(), Exit.void)
      }
    }
  }
}

/** No traces, which is the default. A `traceparent` that comes in is passed on. */
const off: TracingShape = {
  incoming: (self) => self,
  batch: (self) => self,
  step: (traceparent, _start, work) => work(traceparent)
}

/** Decides which requests are traced, and makes their spans. Nothing is traced unless a layer is given. */
export const Tracing = Context.Reference<TracingShape>("chat/services/Tracing", { defaultValue: () => off })
