import { Effect, Layer } from "effect"
import * as PrometheusMetrics from "../../src/layers/PrometheusMetrics.ts"
import { Metrics } from "../../src/services/Metrics.ts"
import { Settings } from "../../src/services/Settings.ts"

/** The value of one series, as it stands in the text; undefined when there is none. */
export const sampleOf = (text: string, series: string): number | undefined => {
  const line = text.split("\n").find((each) => each.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1).split(" ")[0])
}

/** Counts as the service does when metrics are on. */
export const counting = Layer.provide(PrometheusMetrics.layer, Settings.layerTest())

/** The value of one series now, 0 while there is none. */
export const sample = (series: string) =>
  Effect.gen(function* () {
    const { render } = yield* Metrics
    return sampleOf(yield* render("text"), series) ?? 0
  })
