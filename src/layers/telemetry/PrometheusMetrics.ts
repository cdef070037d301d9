import { Effect, Layer } from "effect"
import { Counter, collectDefaultMetrics, Gauge, Histogram, type OpenMetricsContentType, Registry } from "prom-client"
import * as definitions from "../../services/platform/MetricDefinitions.ts"
import {
  type Count,
  type Definition,
  type Labels,
  Metrics,
  type MetricsShape
} from "../../services/platform/Metrics.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { version } from "../../Version.ts"

type Any = Definition<"counter"> | Definition<"gauge"> | Definition<"histogram">
type Series = Readonly<Record<string, string>>

/**
 * How often the lag of the event loop is measured, which is included in `nodejs_eventloop_lag_*`. The default of 10 ms
 * wakes an idle process 200 times a second.
 */
const lagIntervalMs = 100

let processRegistry: Registry | undefined

/**
 * The metrics of the process and its event loop. All instances of this layer share them, because they are the same and
 * collecting them again would cost again.
 */
const processMetrics = () => {
  if (processRegistry === undefined) {
    processRegistry = new Registry()
    collectDefaultMetrics({ register: processRegistry, eventLoopMonitoringPrecision: lagIntervalMs })
    // These gauges are named like totals, and have a series for each kind of handle that the program happens to have.
    for (const name of ["handles", "requests", "resources"]) {
      processRegistry.removeSingleMetric(`nodejs_active_${name}`)
      processRegistry.removeSingleMetric(`nodejs_active_${name}_total`)
    }
  }
  return processRegistry
}

const metricsOf = (registry: Pick<Registry, "getMetricsAsArray" | "getSingleMetric">) =>
  registry.getMetricsAsArray().flatMap(({ name }) => registry.getSingleMetric(name) ?? [])

/**
 * All series of a metric if the values of its labels are known in advance, else none. They are set to zero at the start,
 * because otherwise Prometheus does not see the first count as an increase.
 */
const knownSeries = (labels: Labels): ReadonlyArray<Series> =>
  Object.entries(labels).reduce<ReadonlyArray<Series>>(
    (all, [name, values]) =>
      values === "open" ? [] : all.flatMap((series) => values.map((value) => ({ ...series, [name]: value }))),
    [{}]
  )

/** All metrics of `MetricDefinitions`, registered with `registry`. */
const makeDefined = (registry: Registry<OpenMetricsContentType>) => {
  const registers = [registry]
  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  for (const { buckets, help, kind, labels, name } of Object.values<Any>(definitions)) {
    const config = { name, help, labelNames: Object.keys(labels), registers }
    if (kind === "gauge") {
      gauges.set(name, new Gauge(config))
    } else if (kind === "counter") {
      const made = new Counter(config)
      for (const series of knownSeries(labels)) made.inc(series, 0)
      counters.set(name, made)
    } else {
      histograms.set(name, new Histogram({ ...config, buckets: [...buckets], enableExemplars: true }))
    }
  }

  const found = <A>(known: ReadonlyMap<string, A>, { name }: Any): A => {
    const metric = known.get(name)
    if (metric === undefined) throw new Error(`${name} is not defined in MetricDefinitions.ts`)
    return metric
  }
  return {
    counter: (definition: Definition<"counter">) => found(counters, definition),
    gauge: (definition: Definition<"gauge">) => found(gauges, definition),
    histogram: (definition: Definition<"histogram">) => found(histograms, definition)
  }
}
type Defined = ReturnType<typeof makeDefined>

/** Returns the function that stores a value that was read. A counter is increased by the growth of the value. */
const storeOf = (defined: Defined, definition: Definition<"gauge"> | Definition<"counter">, labels: Series) => {
  if (definition.kind === "gauge") {
    const child = defined.gauge(definition).labels(labels)
    return (value: number) => child.set(value)
  }
  const child = defined.counter(definition).labels(labels)
  let last = 0
  return (value: number) => {
    child.inc(Math.max(0, value - last))
    last = value
  }
}

const seriesOf = ({ name }: Any, labels: Series) => `${name} ${JSON.stringify(labels)}`

const make = (): MetricsShape => {
  const text = new Registry()
  const openMetrics = new Registry<OpenMetricsContentType>()
  openMetrics.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  const defined = makeDefined(openMetrics)
  for (const metric of metricsOf(processMetrics())) openMetrics.registerMetric(metric)
  for (const metric of metricsOf(openMetrics)) text.registerMetric(metric)
  const names = openMetrics.getMetricsAsArray().map((metric) => ({ metric, name: metric.name }))
  // The client looks up the series of each addition by a text that it makes of the labels, so what is counted between two
  // readings is added up before.
  const counts = new Map<string, { readonly count: Count; readonly store: () => void }>()
  const readings = new Map<string, { readonly values: Array<() => number>; readonly store: (sum: number) => void }>()
  defined.gauge(definitions.buildInfo).set({ version, node_version: process.versions.node }, 1)

  return {
    counter: (definition, ...[labels = {}]) => {
      const series = seriesOf(definition, labels)
      const known = counts.get(series)
      if (known !== undefined) return known.count
      const child = defined.counter(definition).labels(labels)
      let pending = 0
      const counted = {
        count: (by = 1) => {
          pending += by
        },
        store: () => {
          if (pending > 0) child.inc(pending)
          pending = 0
        }
      }
      counts.set(series, counted)
      return counted.count
    },
    gauge: (definition, ...[labels = {}]) => {
      const child = defined.gauge(definition).labels(labels)
      return (value) => child.set(value)
    },
    histogram: (definition, ...[labels = {}]) => {
      const metric = defined.histogram(definition)
      const child = metric.labels(labels)
      return (value, traceId) => {
        if (traceId === undefined) child.observe(value)
        else metric.observe({ labels, value, exemplarLabels: { trace_id: traceId } })
      }
    },
    read: (definition, value, ...[labels = {}]) => {
      const series = seriesOf(definition, labels)
      const reading = readings.get(series) ?? { values: [], store: storeOf(defined, definition, labels) }
      readings.set(series, reading)
      reading.values.push(value)
    },
    render: (format) =>
      Effect.promise(() => {
        for (const { store } of counts.values()) store()
        for (const { store, values } of readings.values()) store(values.reduce((sum, value) => sum + value(), 0))
        if (format === "text") return text.metrics()
        const rendered = openMetrics.metrics()
        // `metrics()` has shortened the names of the counters in place, which the text format needs in full.
        for (const { metric, name } of names) metric.name = name
        return rendered
      })
  }
}

/** Metrics for Prometheus, if `metrics.enabled` is true; otherwise nothing is counted. */
export const layer = Layer.effect(
  Metrics,
  Effect.flatMap(Settings, ({ metrics }) => (metrics.enabled ? Effect.sync(make) : Metrics))
)
