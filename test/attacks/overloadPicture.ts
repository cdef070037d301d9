import type { Second } from "./offering.ts"

/** What a second of the run showed. */
export interface Shown extends Second {
  readonly level: number
}

const size = { width: 760, left: 60, right: 20, panel: 170, gap: 50, top: 30 }
const colors = { offered: "#888", acknowledged: "#1a7f37", refused: "#cf222e", p50: "#0969da", p99: "#8250df" }
const names = { offered: "offered", acknowledged: "acknowledged", refused: "refused", p50: "p50", p99: "p99" }

type Series = keyof typeof colors

/** The next round number: 1, 2 or 5 times a power of ten. */
const round = (value: number): number => {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)))
  return power * ([1, 2, 5, 10].find((each) => each * power >= value) ?? 10)
}

/** Draws what a node did while more and more was asked of it: messages a second, and what the acknowledged ones took. */
export const draw = (seconds: ReadonlyArray<Shown>): string => {
  const width = size.width - size.left - size.right
  const x = (second: number) => size.left + (second / seconds.length) * width
  const panel = (index: number, title: string, series: ReadonlyArray<Series>) => {
    const top = size.top + index * (size.panel + size.gap)
    const bottom = top + size.panel
    const highest = round(Math.max(...seconds.flatMap((each) => series.map((name) => each[name]))))
    const y = (value: number) => bottom - (value / highest) * size.panel
    const bands = seconds.flatMap(({ level }, second) =>
      level === 0
        ? []
        : [
            `<rect x="${x(second).toFixed(1)}" y="${top}" width="${(width / seconds.length + 0.3).toFixed(1)}" height="${size.panel}" fill="#fb8500" opacity="${(level * 0.09).toFixed(2)}"/>`
          ]
    )
    const lines = series.map((name) => {
      const points = seconds.map((each, second) => `${x(second + 0.5).toFixed(1)},${y(each[name]).toFixed(1)}`)
      return `<polyline points="${points.join(" ")}" fill="none" stroke="${colors[name]}" stroke-width="1.8"/>`
    })
    const marks = [0, highest / 2, highest].map(
      (value) =>
        `<text x="${size.left - 6}" y="${y(value) + 4}" text-anchor="end">${value.toLocaleString("en")}</text><line x1="${size.left}" x2="${size.width - size.right}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/>`
    )
    const legend = series.map(
      (name, place) =>
        `<text x="${size.left + 360 + place * 110}" y="${top - 8}" fill="${colors[name]}">${names[name]}</text>`
    )
    return [`<text x="${size.left}" y="${top - 8}">${title}</text>`, ...bands, ...marks, ...lines, ...legend].join("\n")
  }
  const height = size.top + 2 * (size.panel + size.gap)
  const ticks = seconds.flatMap((_, second) =>
    second % 10 === 0
      ? [`<text x="${x(second)}" y="${height - size.gap + 18}" text-anchor="middle">${second} s</text>`]
      : []
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${height}" font-family="sans-serif" font-size="12">
<title>Messages that a node was offered, acknowledged and refused, and how long the acknowledged ones took</title>
<rect width="100%" height="100%" fill="#fff"/>
${panel(0, "Messages a second (orange: the level of load)", ["offered", "acknowledged", "refused"])}
${panel(1, "Milliseconds until the acknowledgement", ["p50", "p99"])}
${ticks.join("\n")}
</svg>
`
}
