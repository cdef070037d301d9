/** What a figure must be at most or at least, and what it aims at. */
export interface Goal {
  readonly side: "at most" | "at least"
  readonly must: number
  readonly aim?: number
}

/** One figure of a scene, once for each round, and what it should be; without a goal it only informs. */
export interface Verdict {
  readonly what: string
  readonly unit: string
  readonly values: ReadonlyArray<number>
  readonly goal?: Goal
}

interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** The median of values, with the least and the most. */
export const spread = (values: ReadonlyArray<number>): Spread => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (index: number) => sorted[index] ?? Number.NaN
  const middle = Math.floor(sorted.length / 2)
  const median = sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2
  return { median, min: at(0), max: at(sorted.length - 1) }
}

/** A figure with as many digits as matter. */
export const figure = (value: number) =>
  Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en-US") : value.toFixed(Math.abs(value) >= 10 ? 1 : 2)

/** The median with the least and the most, unless all are the same. */
export const withRange = ({ max, median, min }: Spread) =>
  min === max ? figure(median) : `${figure(median)} [${figure(min)}..${figure(max)}]`

const reaches = ({ side }: Goal, value: number, bound: number) => (side === "at most" ? value <= bound : value >= bound)

/** Whether the median is what it must be. */
export const passes = ({ goal, values }: Verdict) =>
  goal === undefined || reaches(goal, spread(values).median, goal.must)

const bound = ({ side }: Goal, value: number | undefined, unit: string) =>
  value === undefined ? "" : `${side === "at most" ? "≤" : "≥"} ${value}${unit}`

/** Writes a Markdown table whose columns are padded. */
export const markdown = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>) => {
  const widths = head.map((_, column) => Math.max(3, ...[head, ...rows].map((cells) => cells[column]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n")
}

/** The figures beside their goals. What misses its goal is marked. */
export const goalTable = (verdicts: ReadonlyArray<Verdict>) =>
  markdown(
    ["", "must", "aim", "measured: median [least..most]"],
    verdicts.map((verdict) => {
      const { goal, values, what } = verdict
      const unit = verdict.unit === "" ? "" : ` ${verdict.unit}`
      const measured = `${withRange(spread(values))}${unit}`
      if (goal === undefined) return [what, "", "", measured]
      return [
        what,
        bound(goal, goal.must, unit),
        bound(goal, goal.aim, unit),
        passes(verdict) ? measured : `**${measured}, missed**`
      ]
    })
  )
