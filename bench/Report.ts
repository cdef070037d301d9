import { type Goal, markdown, spread, type Verdict, withRange } from "./Goals.ts"
import type { Run } from "./Run.ts"

/** One round: a run for each target. */
type Round = ReadonlyMap<string, Run>
type Rounds = ReadonlyArray<Round>
type Field = Exclude<keyof Run, "faults">

/** A Markdown table of medians over the rounds, with least and most where they matter. */
export const table = (names: ReadonlyArray<string>, rounds: Rounds, unit: string): string =>
  markdown(
    [
      "target",
      `CPU µs/${unit}`,
      "server + PostgreSQL + bus",
      "a second",
      "ack p50 / p99 ms",
      "delivery p50 / p99 ms",
      "generator µs",
      "others",
      "steal"
    ],
    names.map((name) => {
      const of = (field: Field) => spread(rounds.flatMap((round) => round.get(name)?.[field] ?? []))
      const both = (p50: Field, p99: Field) => `${of(p50).median.toFixed(1)} / ${of(p99).median.toFixed(1)}`
      const micros = (field: Field) => of(field).median.toFixed(of(field).median < 20 ? 1 : 0)
      return [
        name,
        withRange(of("stackCpu")),
        `${micros("serverCpu")} + ${micros("postgresCpu")} + ${micros("busCpu")}`,
        withRange(of("perSecond")),
        both("ackP50", "ackP99"),
        both("deliveryP50", "deliveryP99"),
        micros("generatorCpu"),
        of("others").median.toFixed(2),
        `${(of("steal").median * 100).toFixed(0)} %`
      ]
    })
  )

/** A figure of one target relative to that of others, taken inside each round, so that all had the same neighbours. */
export interface Ratio {
  readonly what: string
  readonly field: Field
  readonly of: string
  /** The targets to compare with; when there are several, the best one in the round counts. */
  readonly to: ReadonlyArray<string>
  readonly goal?: Goal
}

/** The ratios over the rounds that count; a target that did not run has none. */
export const ratios = (rounds: Rounds, wanted: ReadonlyArray<Ratio>): ReadonlyArray<Verdict> =>
  wanted.flatMap(({ field, goal, of, to, what }) => {
    const values = rounds.flatMap((round) => {
      const mine = round.get(of)?.[field]
      const theirs = to.flatMap((name) => round.get(name)?.[field] ?? [])
      return mine === undefined || theirs.length === 0 ? [] : [mine / Math.min(...theirs)]
    })
    return values.length === 0 ? [] : [{ what, unit: "", values, ...(goal && { goal }) }]
  })

/** How many messages were lost, doubled or out of order in all rounds: none may be. */
export const faults = (scene: string, names: ReadonlyArray<string>, all: Rounds): Verdict => ({
  what: `${scene}: lost, doubled or out of order`,
  unit: "",
  values: [
    all
      .flatMap((round) => names.flatMap((name) => round.get(name)?.faults ?? []))
      .reduce((sum, { disordered, doubled, lost }) => sum + disordered + doubled + lost, 0)
  ],
  goal: { side: "at most", must: 0 }
})
