import { Effect, Layer } from "effect"
import * as PrometheusMetrics from "../../src/layers/telemetry/PrometheusMetrics.ts"
import { Metrics } from "../../src/services/platform/Metrics.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"

/** The value of one series in the text of the metrics; undefined when it is absent. */
export const sampleOf = (text: string, series: string): number | undefined => {
  const line = text.split("\n").find((each) => each.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1).split(" ")[0])
}

/** Provides metrics as the service has them when they are on. */
export const counting = Layer.provide(PrometheusMetrics.layer, SettingsMemory.layerMemory())

/** The current value of one series, 0 while there is none. */
export const sample = (series: string) =>
  Effect.gen(function* () {
    const { render } = yield* Metrics
    return sampleOf(yield* render("text"), series) ?? 0
  })
