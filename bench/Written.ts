import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { figure, goalTable, passes, spread, type Verdict } from "./Goals.ts"

const docs = join(import.meta.dirname, "../docs")
const between = /(<!-- results: begin -->\n)[\s\S]*(<!-- results: end -->)/

const escapeXml = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")

/** Widths and heights of the plot, in pixels; `goal` is where a bar reaches its goal. */
const plot = { labels: 470, goal: 160, most: 400, row: 24, figures: 90 }

/**
 * Draws each figure with a goal as a bar: up to the line is what the goal allows, whether that is at most or at least so
 * much.
 */
const draw = (verdicts: ReadonlyArray<Verdict>) => {
  const bars = verdicts.flatMap((verdict) => {
    const { goal, values } = verdict
    if (goal === undefined || goal.must === 0) return []
    const { median } = spread(values)
    const used = goal.side === "at most" ? median / goal.must : goal.must / median
    return [{ what: verdict.what, median, used, pass: passes(verdict) }]
  })
  const width = plot.labels + plot.most + plot.figures
  const height = (bars.length + 1) * plot.row
  const line = plot.labels + plot.goal
  const rows = bars.map(({ median, pass, used, what }, index) => {
    const y = (index + 1) * plot.row
    const length = Math.min(plot.most, used * plot.goal)
    return [
      `<text x="${plot.labels - 8}" y="${y + 15}" text-anchor="end">${escapeXml(what)}</text>`,
      `<rect x="${plot.labels}" y="${y + 3}" width="${length.toFixed(1)}" height="${plot.row - 8}" fill="${pass ? "#3a7d44" : "#b23a48"}"/>`,
      `<text x="${(plot.labels + length + 6).toFixed(1)}" y="${y + 15}">${figure(median)}</text>`
    ].join("\n")
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<title>The figures of the benchmark beside their goals</title>
<rect width="${width}" height="${height}" fill="#fff"/>
<text x="${line}" y="15" text-anchor="middle">goal</text>
${rows.join("\n")}
<line x1="${line}" y1="${plot.row}" x2="${line}" y2="${height}" stroke="#000" stroke-dasharray="4 3"/>
</svg>
`
}

/** Writes the figures and their goals into docs/benchmarks.md, and plots them in docs/benchmarks.svg. */
export const write = (machine: string, rounds: number, verdicts: ReadonlyArray<Verdict>) => {
  const path = join(docs, "benchmarks.md")
  const day = new Date().toISOString().slice(0, 10)
  const results = [
    `${machine}, on ${day}, medians of ${rounds} rounds.`,
    goalTable(verdicts),
    "![Each figure as a bar that should end before the line of its goal](benchmarks.svg)"
  ].join("\n\n")
  const text = readFileSync(path, "utf8")
  writeFileSync(
    path,
    text.replace(between, (_, begin: string, end: string) => `${begin}\n${results}\n\n${end}`)
  )
  writeFileSync(join(docs, "benchmarks.svg"), draw(verdicts))
}
