import { tables } from "./TokenizerTables.ts"

/**
 * The version of this file and its tables, which together decide which words a text has. It is to be stored with an index;
 * an index of another version must be built again.
 */
export const tokenizerVersion = 1

/** The highest position that PostgreSQL keeps. Words at later positions are not indexed. */
const mostPositions = 16_383

/** PostgreSQL keeps at most this many positions of one word. */
const mostPositionsOfWord = 256

/** At most this many characters of a text are read, counted after folding. */
const mostCharacters = 32_768

/** Words are cut to this many characters, because PostgreSQL takes fewer than 2,048 bytes. */
const longestWord = 100
const longestUnit = longestWord / 2

/** The words of a text, each with its ascending positions, which begin at 1. */
export type IndexedWords = ReadonlyMap<string, ReadonlyArray<number>>

/**
 * A stretch of a text without a separator: a word, or characters of a script without spaces, each with its marks. A
 * symbol such as an emoji is a word of one character.
 */
type Run =
  | { readonly kind: "word"; readonly text: string }
  | { readonly kind: "spaceless"; readonly units: ReadonlyArray<string> }

const [none, word, spaceless, mark, ignored, symbol] = [0, 1, 2, 3, 4, 5]

const numbersIn = (text: string) => text.split(" ").map((digits) => Number.parseInt(digits, 36))

/** Calls back for each character of ranges that are written as gaps and lengths. */
const inRanges = (ranges: string, each: (code: number) => void) => {
  const numbers = numbersIn(ranges)
  let code = 0
  for (let at = 0; at < numbers.length; at += 2) {
    code += numbers[at] ?? 0
    for (const end = code + (numbers[at + 1] ?? 0); code < end; code++) each(code)
  }
}

const pairOf = (first: number, second: number) => first * 0x110000 + second

/** What is known about each character: its class, its order among combining marks if it is one, its folds, and what two make. */
const readTables = () => {
  const classes = new Uint8Array(0x110000)
  inRanges(tables.word, (code) => classes.fill(word, code, code + 1))
  inRanges(tables.spaceless, (code) => classes.fill(spaceless, code, code + 1))
  inRanges(tables.mark, (code) => classes.fill(mark, code, code + 1))
  inRanges(tables.ignored, (code) => classes.fill(ignored, code, code + 1))
  inRanges(tables.symbol, (code) => classes.fill(symbol, code, code + 1))

  /** The canonical order of combining marks. Other characters are absent. */
  const orders = new Map<number, number>()
  for (const [n, ranges] of tables.orders.entries()) inRanges(ranges, (code) => orders.set(code, n + 1))

  const folds = new Map<number, ReadonlyArray<number>>()
  let before = 0
  for (const part of tables.folds.split(" ")) {
    const [gap = "", to] = part.split("=")
    if (to !== undefined) {
      before += Number.parseInt(gap, 36)
      folds.set(
        before,
        to.split(",").map((code) => Number.parseInt(code, 36))
      )
    } else {
      const [, start = "", step = "", length = "", shift = ""] = /^(\w+)\+(\d)\*(\w+)\+(-?\w+)$/.exec(part) ?? []
      const first = before + Number.parseInt(start, 36)
      for (let n = 0; n < Number.parseInt(length, 36); n++) {
        before = first + n * Number(step)
        folds.set(before, [before + Number.parseInt(shift, 36)])
      }
    }
  }

  const compositions = new Map<number, number>()
  const composed = numbersIn(tables.compositions)
  for (let at = 0; at < composed.length; at += 3)
    compositions.set(pairOf(composed[at] ?? 0, composed[at + 1] ?? 0), composed[at + 2] ?? 0)
  // Turkish has an i without a dot and an I with one; keyboards and languages disagree on their cases, so all are one letter.
  compositions.set(pairOf(0x69, 0x307), 0x69)
  return { classes, orders, folds, compositions }
}

let tablesRead: ReturnType<typeof readTables> | undefined

/** The tables, which are read when the first text needs them: many have only ASCII, and no start should wait for them. */
const characters = () => {
  tablesRead ??= readTables()
  return tablesRead
}

/** One character of two, also of the letters that make a Korean syllable. */
const compose = (first: number, second: number): number | undefined => {
  const [lead, vowel, tail, syllable] = [first - 0x1100, second - 0x1161, second - 0x11a7, first - 0xac00]
  if (lead >= 0 && lead < 19 && vowel >= 0 && vowel < 21) return 0xac00 + (lead * 21 + vowel) * 28
  if (syllable >= 0 && syllable < 11_172 && syllable % 28 === 0 && tail > 0 && tail < 28) return first + tail
  return characters().compositions.get(pairOf(first, second))
}

const space = 0x20

/** The characters of a text without case and in one spelling: fully decomposed, and symbols and separators set apart. */
const fold = (text: string): Array<number> => {
  const { classes, folds } = characters()
  const codes: Array<number> = []
  for (const char of text) {
    if (codes.length >= mostCharacters) break
    const code = char.codePointAt(0) ?? space
    const kind = classes[code]
    if (kind === ignored) continue
    if (kind === none) codes.push(space)
    else {
      if (kind === symbol) codes.push(space)
      // Presentation forms such as U+FE7B have a tatweel inside, which is ignored like one that stands by itself.
      for (const each of folds.get(code) ?? [code]) if (classes[each] !== ignored) codes.push(each)
      if (kind === symbol) codes.push(space)
    }
  }
  return codes
}

/** Puts the marks on each character into their canonical order, and makes one character of those that have one. */
const recompose = (codes: Array<number>): Array<number> => {
  const { orders } = characters()
  const out: Array<number> = []
  let starter = -1
  for (let at = 0; at < codes.length; ) {
    const code = codes[at] ?? space
    if (!orders.has(code)) {
      const joined = starter === out.length - 1 && starter >= 0 ? compose(out[starter] ?? space, code) : undefined
      if (joined === undefined) starter = out.push(code) - 1
      else out[starter] = joined
      at++
      continue
    }
    const from = at
    while (orders.has(codes[at] ?? space)) at++
    const marks = codes.slice(from, at).sort((a, b) => (orders.get(a) ?? 0) - (orders.get(b) ?? 0))
    let blocked = 0
    for (const each of marks) {
      const order = orders.get(each) ?? 0
      const joined = starter >= 0 && blocked < order ? compose(out[starter] ?? space, each) : undefined
      if (joined === undefined) {
        out.push(each)
        blocked = order
      } else out[starter] = joined
    }
  }
  return out
}

const printableAscii = /^[\t\n\r -~]*$/

/** The runs of a text of printable ASCII characters, ten times as fast as the general way. */
const asciiRunsIn = (text: string): ReadonlyArray<Run> =>
  Array.from(text.toLowerCase().match(/[a-z0-9]+/g) ?? [], (each) => ({
    kind: "word",
    text: each.slice(0, longestWord)
  }))

/** The runs of a text in their order, in folded form. */
export const runsIn = (text: string): ReadonlyArray<Run> =>
  text.length <= mostCharacters && printableAscii.test(text) ? asciiRunsIn(text) : anyRunsIn(text)

/** The runs of a text like `runsIn`, for characters of all kinds. */
export const anyRunsIn = (text: string): ReadonlyArray<Run> => {
  const { classes } = characters()
  const runs: Array<Run> = []
  let letters: Array<string> = []
  let units: Array<string> = []
  let marks = 0
  const end = () => {
    if (letters.length > 0) runs.push({ kind: "word", text: letters.join("") })
    if (units.length > 0) runs.push({ kind: "spaceless", units })
    letters = []
    units = []
  }
  for (const code of recompose(fold(text))) {
    const kind = classes[code]
    const char = String.fromCodePoint(code)
    if (kind === word) {
      if (units.length > 0) end()
      if (letters.length < longestWord) letters.push(char)
    } else if (kind === spaceless) {
      if (letters.length > 0) end()
      units.push(char)
      marks = 0
    } else if (kind === mark) {
      if (letters.length > 0 && letters.length < longestWord) letters.push(char)
      else if (units.length > 0 && ++marks < longestUnit) units.push(`${units.pop()}${char}`)
    } else {
      end()
      if (kind === symbol) runs.push({ kind: "word", text: char })
    }
  }
  end()
  return runs
}

/**
 * The words of a text with their positions, as they are indexed. A word is letters, digits and their marks; every other
 * character separates, so that `report.pdf` is two words in a row, as it is in a query. Of a script without spaces, a
 * word is each character with its next one, the last character by itself. Takes time by the length of the text.
 */
export const tokenize = (text: string): IndexedWords => {
  const tokens = new Map<string, Array<number>>()
  let position = 0
  const add = (lexeme: string) => {
    position++
    const positions = tokens.get(lexeme)
    if (positions === undefined) tokens.set(lexeme, [position])
    else if (positions.length < mostPositionsOfWord) positions.push(position)
  }
  for (const run of runsIn(text)) {
    const lexemes = run.kind === "word" ? [run.text] : run.units.map((unit, n) => `${unit}${run.units[n + 1] ?? ""}`)
    for (const lexeme of lexemes) {
      if (position === mostPositions) return tokens
      add(lexeme)
    }
  }
  return tokens
}

const special = /['\\]/

/** A word as PostgreSQL reads it in the text of a tsvector or a tsquery. */
export const quoted = (lexeme: string) =>
  special.test(lexeme) ? `'${lexeme.replaceAll("\\", "\\\\").replaceAll("'", "''")}'` : `'${lexeme}'`

/** The words of a text in the form that PostgreSQL casts to tsvector without a parser of its own. */
export const toTsvector = (tokens: IndexedWords): string =>
  Array.from(tokens, ([lexeme, positions]) => `${quoted(lexeme)}:${positions.join(",")}`).join(" ")
