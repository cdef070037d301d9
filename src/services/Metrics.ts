import { Context, Effect, type Fiber } from "effect"
import { sampledSpan } from "./Tracing.ts"

/** The labels of a metric: the values that one can have, or `open` where whoever records sees to it that they are few. */
export type Labels = Readonly<Record<string, ReadonlyArray<string> | "open">>

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

/** Takes a value; with a trace it may become an exemplar, which leads from a number to what happened. */
export type Observe = (value: number, traceId?: string | undefined) => void

/**
 * Where the service counts. Each call of `counter`, `gauge` or `histogram` looks labels up: on a hot path it is made once
 * and its result kept. Label values must never come from a client as they are.
 */
export interface MetricsShape {
  readonly counter: <L extends Labels>(definition: Definition<"counter", L>, ...labels: Of<L>) => Count
  readonly gauge: <L extends Labels>(definition: Definition<"gauge", L>, ...labels: Of<L>) => (value: number) => void
  readonly histogram: <L extends Labels>(definition: Definition<"histogram", L>, ...labels: Of<L>) => Observe
  /** Asks for the value each time the metrics are read: for what is counted elsewhere anyway. Several are added up. */
  readonly read: <L extends Labels>(
    definition: Definition<"gauge", L> | Definition<"counter", L>,
    value: () => number,
    ...labels: Of<L>
  ) => void
  /** All of it, as Prometheus reads it. OpenMetrics has exemplars too. */
  readonly render: (format: "text" | "openmetrics") => Effect.Effect<string>
}

const nothing = () => {}

/** Counts nothing unless a layer is given: no service and no test needs one to work. */
export const Metrics = Context.Reference<MetricsShape>("chat/services/Metrics", {
  defaultValue: () => ({
    counter: () => nothing,
    gauge: () => nothing,
    histogram: () => nothing,
    read: nothing,
    render: () => Effect.succeed("")
  })
})

/** The trace that the fiber is part of, when it is one that is kept. */
export const traceOf = (fiber: Fiber.Fiber<unknown, unknown>): string | undefined => sampledSpan(fiber)?.traceId
