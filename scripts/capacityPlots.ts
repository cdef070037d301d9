/** One plot: answers of docs/capacity.md, by how many things there are of which they tell. */
interface Plot {
  readonly file: string
  readonly title: string
  /** How many of these a database of size n has. */
  readonly count: (n: number) => number
  readonly answers: ReadonlyArray<string>
}

const plots: ReadonlyArray<Plot> = [
  {
    file: "capacity-messages.svg",
    title: "messages of a conversation, replies of a thread",
    count: (n) => n,
    answers: [
      "the newest page",
      "a long conversation",
      "the newest replies of a thread",
      "a conversation with deleted messages",
      "a page above a long thread"
    ]
  },
  {
    file: "capacity-conversations.svg",
    title: "conversations of a user",
    count: (n) => n / 10,
    answers: [
      "fifty conversations of a user in many",
      "the first page of the list of a user in many",
      "a sync that knows nothing, of a user in many",
      "what is unread in all conversations of a user in many"
    ]
  },
  {
    file: "capacity-members.svg",
    title: "members of a group",
    count: (n) => Math.min(n / 4, 4990),
    answers: [
      "the first members of a large group",
      "a conversation with many members",
      "a member who is added to a large group"
    ]
  }
]

const colors = ["#1b6ca8", "#3a7d44", "#b23a48", "#8a5fb0", "#b7791f"]
const sizes = { left: 72, top: 16, width: 400, height: 260, legend: 430, row: 18 }

type Point = readonly [count: number, buffers: number]

/** The sizes of the columns of the tables, of which some rows lack the last. */
const columns = [1000, 10_000, 50_000, 1_000_000]

/** The buffers of an answer, from its row: `| name | rows / buffers | … |`. */
const pointsOf = (text: string, answer: string, count: Plot["count"]): ReadonlyArray<Point> => {
  const row = text.split("\n").find((line) => line.startsWith(`| ${answer} |`))
  if (row === undefined) throw new Error(`docs/capacity.md has no row for: ${answer}`)
  const cells = row.split("|").slice(2)
  return columns.flatMap((n, column) => {
    const [, buffers] = /^ [\d,]+ \/ ([\d,]+) $/.exec(cells[column] ?? "") ?? []
    return buffers === undefined ? [] : [[count(n), Number(buffers.replaceAll(",", ""))] as const]
  })
}

const mean = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length

/** The exponent of the growth, by least squares: 0 is flat, 1 as much more as there are more. */
const slopeOf = (points: ReadonlyArray<Point>) => {
  const xs = points.map(([x]) => Math.log(x))
  const ys = points.map(([, y]) => Math.log(y))
  const [x, y] = [mean(xs), mean(ys)]
  const both = xs.reduce((sum, each, n) => sum + (each - x) * ((ys[n] ?? y) - y), 0)
  return both / xs.reduce((sum, each) => sum + (each - x) ** 2, 0)
}

/** The powers of ten around values. */
const decades = (values: ReadonlyArray<number>) => {
  const first = Math.floor(Math.log10(Math.min(...values)))
  const last = Math.ceil(Math.log10(Math.max(...values)))
  return Array.from({ length: last - first + 1 }, (_, n) => first + n)
}

const draw = (text: string, { answers, count, title }: Plot) => {
  const lines = answers.map((answer) => ({ answer, points: pointsOf(text, answer, count) }))
  const all = lines.flatMap(({ points }) => points)
  const [xs, ys] = [decades(all.map(([x]) => x)), decades(all.map(([, y]) => y))]
  const at = (powers: ReadonlyArray<number>, value: number) =>
    (Math.log10(value) - (powers[0] ?? 0)) / (powers.length - 1)
  const x = (value: number) => (sizes.left + at(xs, value) * sizes.width).toFixed(1)
  const y = (value: number) => (sizes.top + (1 - at(ys, value)) * sizes.height).toFixed(1)
  const [bottom, right] = [sizes.top + sizes.height, sizes.left + sizes.width]
  const number = (power: number) => (10 ** power).toLocaleString("en-US")
  const drawn = [
    ...xs.map((power) => {
      const place = x(10 ** power)
      return `<line x1="${place}" y1="${sizes.top}" x2="${place}" y2="${bottom}" stroke="#ddd"/>
<text x="${place}" y="${bottom + 16}" text-anchor="middle">${number(power)}</text>`
    }),
    ...ys.map((power) => {
      const place = y(10 ** power)
      return `<line x1="${sizes.left}" y1="${place}" x2="${right}" y2="${place}" stroke="#ddd"/>
<text x="${sizes.left - 6}" y="${place}" dy="4" text-anchor="end">${number(power)}</text>`
    }),
    ...lines.map(({ answer, points }, n) => {
      const color = colors[n % colors.length]
      const path = points.map(([count, buffers]) => `${x(count)},${y(buffers)}`).join(" ")
      const dots = points.map(
        ([count, buffers]) => `<circle cx="${x(count)}" cy="${y(buffers)}" r="3" fill="${color}"/>`
      )
      const row = sizes.top + (n + 1) * sizes.row
      return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2"/>
${dots.join("\n")}
<line x1="${right + 16}" y1="${row - 4}" x2="${right + 36}" y2="${row - 4}" stroke="${color}" stroke-width="2"/>
<text x="${right + 42}" y="${row}">${answer}: slope ${slopeOf(points).toFixed(2)}</text>`
    })
  ]
  const [width, height] = [right + sizes.legend, bottom + 44]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<title>Buffers by the ${title}</title>
<rect width="${width}" height="${height}" fill="#fff"/>
<text x="${sizes.left}" y="11">buffers</text>
<text x="${sizes.left + sizes.width / 2}" y="${bottom + 36}" text-anchor="middle">${title}</text>
${drawn.join("\n")}
</svg>
`
}

/** The plots of the tables in docs/capacity.md, by the names of their files. Both axes are logarithmic. */
export const capacityPlots = (text: string) => plots.map((plot) => [plot.file, draw(text, plot)] as const)
