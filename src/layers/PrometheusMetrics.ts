import { Effect, Layer } from "effect"
import { Counter, collectDefaultMetrics, Gauge, Histogram, type OpenMetricsContentType, Registry } from "prom-client"
import * as definitions from "../services/MetricDefinitions.ts"
import { type Definition, type Labels, Metrics, type MetricsShape } from "../services/Metrics.ts"
import { Settings } from "../services/Settings.ts"
import { version } from "../Version.ts"

type Any = Definition<"counter"> | Definition<"gauge"> | Definition<"histogram">
type Series = Readonly<Record<string, string>>

let ofProcess: Registry | undefined

/** Of the process and its event loop, whoever asks: they are the same, and collecting them twice would cost twice. */
const processMetrics = () => {
  if (ofProcess === undefined) {
    ofProcess = new Registry()
    collectDefaultMetrics({ register: ofProcess })
    // Gauges that call themselves totals, and name the kinds of handles that a program happens to have.
    for (const name of ["handles", "requests", "resources"]) {
      ofProcess.removeSingleMetric(`nodejs_active_${name}`)
      ofProcess.removeSingleMetric(`nodejs_active_${name}_total`)
    }
  }
  return ofProcess
}

const metricsOf = (registry: Pick<Registry, "getMetricsAsArray" | "getSingleMetric">) =>
  registry.getMetricsAsArray().flatMap(({ name }) => registry.getSingleMetric(name) ?? [])

/** Every series of labels whose values are all known beforehand. It starts at zero, so that a first count is a change. */
const knownSeries = (labels: Labels): ReadonlyArray<Series> =>
  Object.entries(labels).reduce<ReadonlyArray<Series>>(
    (all, [name, values]) =>
      values === "open" ? [] : all.flatMap((series) => values.map((value) => ({ ...series, [name]: value }))),
    [{}]
  )

const make = (): MetricsShape => {
  const text = new Registry()
  const openMetrics = new Registry<OpenMetricsContentType>()
  openMetrics.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  const registers = [openMetrics]
  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  const readings = new Map<string, { readonly values: Array<() => number>; readonly take: (sum: number) => void }>()

  const register = ({ buckets, help, kind, labels, name }: Any) => {
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
  for (const definition of Object.values<Any>(definitions)) register(definition)

  const found = <A>(known: ReadonlyMap<string, A>, { name }: Any): A => {
    const metric = known.get(name)
    if (metric === undefined) throw new Error(`${name} is not defined in MetricDefinitions.ts`)
    return metric
  }

  for (const metric of metricsOf(processMetrics())) openMetrics.registerMetric(metric)
  for (const metric of metricsOf(openMetrics)) text.registerMetric(metric)
  const names = openMetrics.getMetricsAsArray().map((metric) => ({ metric, name: metric.name }))

  /** What puts a value that was read where it is shown. A counter shows by how much it grew. */
  const taker = (definition: Definition<"gauge"> | Definition<"counter">, labels: Series) => {
    if (definition.kind === "gauge") {
      const child = found(gauges, definition).labels(labels)
      return (value: number) => child.set(value)
    }
    const child = found(counters, definition).labels(labels)
    let last = 0
    return (value: number) => {
      child.inc(Math.max(0, value - last))
      last = value
    }
  }

  found(gauges, definitions.buildInfo).set({ version, node_version: process.versions.node }, 1)

  return {
    counter: (definition, ...[labels = {}]) => {
      const child = found(counters, definition).labels(labels)
      return (by) => child.inc(by)
    },
    gauge: (definition, ...[labels = {}]) => {
      const child = found(gauges, definition).labels(labels)
      return (value) => child.set(value)
    },
    histogram: (definition, ...[labels = {}]) => {
      const metric = found(histograms, definition)
      const child = metric.labels(labels)
      return (value, traceId) => {
        if (traceId === undefined) child.observe(value)
        else metric.observe({ labels, value, exemplarLabels: { trace_id: traceId } })
      }
    },
    read: (definition, value, ...[labels = {}]) => {
      const series = `${definition.name} ${JSON.stringify(labels)}`
      const reading = readings.get(series) ?? { values: [], take: taker(definition, labels) }
      readings.set(series, reading)
      reading.values.push(value)
    },
    render: (format) =>
      Effect.promise(() => {
        for (const { take, values } of readings.values()) take(values.reduce((sum, value) => sum + value(), 0))
        if (format === "text") return text.metrics()
        const rendered = openMetrics.metrics()
        // It takes the names of counters apart for good, before it first waits; the other format wants them whole.
        for (const { metric, name } of names) metric.name = name
        return rendered
      })
  }
}

/** Counts for Prometheus, where `metrics.enabled` says so. */
export const layer = Layer.effect(
  Metrics,
  Effect.flatMap(Settings, ({ metrics }) => (metrics.enabled ? Effect.sync(make) : Metrics))
)
