import type { Run } from "./Run.ts"

/** All rounds: in each, one run per target. */
export type Rounds = ReadonlyArray<ReadonlyMap<string, Run>>

interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

const spread = (values: ReadonlyArray<number>): Spread => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number) => sorted[index] ?? Number.NaN
  const middle = Math.floor(sorted.length / 2)
  const median = sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2
  return { median, min: at(0), max: at(sorted.length - 1) }
}

const thousands = (value: number) => Math.round(value).toLocaleString("en-US")
const withRange = ({ max, median, min }: Spread, show: (value: number) => string) =>
  `${show(median)} [${show(min)}..${show(max)}]`

/** A Markdown table of medians over the rounds, with least and most where they matter. */
export const table = (names: ReadonlyArray<string>, rounds: Rounds, unit: string): string => {
  const rows = names.map((name) => {
    const of = (field: Exclude<keyof Run, "faults">) =>
      spread(rounds.flatMap((round) => round.get(name)?.[field] ?? []))
    const ms = (p50: Spread, p99: Spread) => `${p50.median.toFixed(1)} / ${p99.median.toFixed(1)}`
    const whole = (value: number) => value.toFixed(value < 20 ? 1 : 0)
    return [
      name,
      withRange(of("stackCpu"), whole),
      `${whole(of("serverCpu").median)} + ${whole(of("postgresCpu").median)}`,
      withRange(of("perSecond"), thousands),
      ms(of("ackP50"), of("ackP99")),
      ms(of("deliveryP50"), of("deliveryP99")),
      whole(of("generatorCpu").median),
      of("others").median.toFixed(2),
      `${(of("steal").median * 100).toFixed(0)} %`
    ]
  })
  const head = [
    "target",
    `CPU µs/${unit}`,
    "server + PostgreSQL",
    `${unit}s/s`,
    "ack p50 / p99 ms",
    "delivery p50 / p99 ms",
    "generator µs",
    "others",
    "steal"
  ]
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((cells) => cells[column]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`
  return [line(head), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...rows.map(line)].join("\n")
}

/** A ratio taken inside each round, so that both sides had the same neighbours. */
const ratio = (rounds: Rounds, field: "stackCpu" | "serverCpu" | "perSecond", of: string, to: string) =>
  spread(
    rounds.flatMap((round) => {
      const [mine, theirs] = [round.get(of), round.get(to)]
      return mine === undefined || theirs === undefined ? [] : [mine[field] / theirs[field]]
    })
  )

/** A line that begins with PASS or FAIL, or one that only tells. */
export interface Gate {
  readonly pass: boolean
  readonly line: string
}

const gate = (pass: boolean, text: string): Gate => ({ pass, line: `${pass ? "PASS" : "FAIL"}  ${text}` })
const note = (text: string): Gate => ({ pass: true, line: `      ${text}` })

/** A ratio of two targets that is to stay on one side of a bound; without a bound it is only told. */
export interface Goal {
  readonly field: "stackCpu" | "serverCpu" | "perSecond"
  readonly of: string
  readonly to: string
  readonly atMost?: number
  readonly atLeast?: number
}

/** What must hold: nothing lost, doubled or out of order, and the goals, as medians of the ratios inside the rounds. */
export const gates = (
  names: ReadonlyArray<string>,
  rounds: Rounds,
  all: Rounds,
  goals: ReadonlyArray<Goal>,
  unit: string
): ReadonlyArray<Gate> => [
  ...names.map((name) => {
    const runs = all.flatMap((round) => round.get(name) ?? [])
    const sum = (fault: "lost" | "doubled" | "disordered") => runs.reduce((total, run) => total + run.faults[fault], 0)
    const [lost, doubled, disordered] = [sum("lost"), sum("doubled"), sum("disordered")]
    return gate(
      lost + doubled + disordered === 0,
      `${name}: lost ${lost}, doubled ${doubled}, out of order ${disordered}`
    )
  }),
  ...goals.flatMap(({ atLeast, atMost, field, of, to }) => {
    const taken = ratio(rounds, field, of, to)
    if (Number.isNaN(taken.median)) return []
    const what = { stackCpu: `CPU per ${unit}`, serverCpu: `CPU of the server per ${unit}`, perSecond: `${unit}s/s` }[
      field
    ]
    const text = `${what}, ${of} / ${to}: ${withRange(taken, (value) => value.toFixed(2))}`
    if (atMost !== undefined) return [gate(taken.median <= atMost, `${text}, must be <= ${atMost}`)]
    if (atLeast !== undefined) return [gate(taken.median >= atLeast, `${text}, must be >= ${atLeast}`)]
    return [note(text)]
  })
]
