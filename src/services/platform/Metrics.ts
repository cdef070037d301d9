import { Context, Effect, type Fiber } from "effect"
import { sampledSpan } from "./Tracing.ts"

/**
 * The labels of a metric, each with its possible values, or `open` when the recording code keeps their number small.
 */
export type Labels = Readonly<Record<string, ReadonlyArray<string> | "open">>

/** A metric as `MetricDefinitions.ts` declares it. */
export interface Definition<Kind extends "counter" | "gauge" | "histogram" = never, L extends Labels = Labels> {
  readonly kind: Kind
  readonly name: string
  readonly help: string
  readonly labels: L
  /** Upper bounds, of a histogram. */
  readonly buckets: ReadonlyArray<number>
}

/** One value for each label. */
export type Values<L extends Labels> = {
  readonly [Name in keyof L]: L[Name] extends ReadonlyArray<infer V extends string> ? V : string
}

type Of<L extends Labels> = keyof L extends never ? [] : [labels: Values<L>]

/** Counts up. */
export type Count = (by?: number) => void

/** Records a value. With a trace it may become an exemplar, which leads from a number to an example of it. */
export type Observe = (value: number, traceId?: string | undefined) => void

/**
 * Where the service counts. Each call of `counter`, `gauge` or `histogram` looks labels up, so a hot path calls it once
 * and keeps the result. Label values must never be text that a client chose.
 */
export interface MetricsShape {
  /** Looks a counter up, which only grows. */
  readonly counter: <L extends Labels>(definition: Definition<"counter", L>, ...labels: Of<L>) => Count
  /** Looks a gauge up, which is set to a value. */
  readonly gauge: <L extends Labels>(definition: Definition<"gauge", L>, ...labels: Of<L>) => (value: number) => void
  /** Looks a histogram up, which takes single values. */
  readonly histogram: <L extends Labels>(definition: Definition<"histogram", L>, ...labels: Of<L>) => Observe
  /**
   * Asks for the value each time the metrics are read, for a number that exists anyway. Several callbacks are added up.
   */
  readonly read: <L extends Labels>(
    definition: Definition<"gauge", L> | Definition<"counter", L>,
    value: () => number,
    ...labels: Of<L>
  ) => void
  /** All metrics, as Prometheus reads them. OpenMetrics has exemplars too. */
  readonly render: (format: "text" | "openmetrics") => Effect.Effect<string>
}

const nothing = () => {}

/** Counts nothing unless a layer is given, so no service and no test needs one to work. */
export const Metrics = Context.Reference<MetricsShape>("chat/services/Metrics", {
  defaultValue: () => ({
    counter: () => nothing,
    gauge: () => nothing,
    histogram: () => nothing,
    read: nothing,
    render: () => Effect.succeed("")
  })
})

/** The trace of the fiber, if it is sampled. */
export const traceOf = (fiber: Fiber.Fiber<unknown, unknown>): string | undefined => sampledSpan(fiber)?.traceId
