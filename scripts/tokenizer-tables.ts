/**
 * Writes the tables of the search tokenizer from the Unicode data of the Node.js release that package.json pins. They are
 * committed, so that every runtime and every database takes the same texts apart in the same way. Whoever changes them
 * raises `tokenizerVersion`.
 */
import { writeFileSync } from "node:fs"

/** The version of Unicode whose tables are committed. */
const unicode = "17.0"

const last = 0x10ffff
const isSurrogate = (code: number) => code >= 0xd800 && code <= 0xdfff
const isSyllable = (code: number) => code >= 0xac00 && code <= 0xd7a3
const codesOf = (text: string) => Array.from(text, (char) => char.codePointAt(0) ?? 0)

const codePoints = Array.from({ length: last + 1 }, (_, code) => code).filter((code) => !isSurrogate(code))

const ignorable = /^\p{Default_Ignorable_Code_Point}$/u
/** Each character by itself is made lower case from upper case until nothing changes, and has its compatible form. */
const folded = (char: string): string => {
  const next = Array.from(char.normalize("NFKD"), (each) => each.toUpperCase())
    .flatMap((upper) => Array.from(upper, (each) => each.toLowerCase()))
    .filter((each) => !ignorable.test(each))
    .join("")
    .normalize("NFKD")
  return next === char ? char : folded(next)
}

/** Scripts whose writers put no space between words, and Hangul, whose words carry their endings. */
const spaceless = new RegExp(
  `^(?:${[
    "Han",
    "Hira",
    "Kana",
    "Bopo",
    "Hang",
    "Thai",
    "Laoo",
    "Khmr",
    "Mymr",
    "Tale",
    "Talu",
    "Lana",
    "Tavt",
    "Ahom",
    "Java",
    "Bali"
  ]
    .map((script) => `\\p{Script_Extensions=${script}}`)
    .join("|")})$`,
  "u"
)
const apostrophes = "\u02bb\u02bc\u02bd"
const tatweel = "\u0640"
const zeroWidthSpace = "\u200b"

type Class = "word" | "spaceless" | "mark" | "ignored" | "symbol"

const classOf = (code: number): Class | undefined => {
  const char = String.fromCodePoint(code)
  if (char === zeroWidthSpace || apostrophes.includes(char)) return undefined
  if (ignorable.test(char) || char === tatweel || /^[\p{Me}\p{Emoji_Modifier}]$/u.test(char)) return "ignored"
  if (/^\p{M}$/u.test(char)) return "mark"
  if (/^\p{N}$/u.test(char) && !/^\p{Script=Han}$/u.test(char)) return "word"
  if (/^\p{Alphabetic}$/u.test(char)) return spaceless.test(char) ? "spaceless" : "word"
  return /[\p{Alphabetic}\p{N}\p{Extended_Pictographic}\p{Regional_Indicator}]/u.test(folded(char))
    ? "symbol"
    : undefined
}

const base36 = (number: number) => number.toString(36)

/** Ranges, each as the gap before it and its length. */
const rangesOf = (codes: ReadonlyArray<number>): string => {
  const numbers: Array<number> = []
  let end = 0
  for (const code of codes) {
    if (numbers.length > 0 && code === end) numbers.push((numbers.pop() ?? 0) + 1)
    else numbers.push(code - end, 1)
    end = code + 1
  }
  return numbers.map(base36).join(" ")
}

/**
 * What folding changes: runs `gap+step*length+shift` of characters that move by the same distance, and `gap=code,code…`
 * for each other. A gap counts from the last character before.
 */
const folds = (): string => {
  const all = codePoints.flatMap((code) => {
    if (isSyllable(code) || classOf(code) === "ignored") return []
    const to = codesOf(folded(String.fromCodePoint(code)).normalize("NFD")).filter((each) => !isSurrogate(each))
    return to.length === 1 && to[0] === code ? [] : [{ code, to }]
  })
  const parts: Array<string> = []
  let before = 0
  for (let at = 0; at < all.length; ) {
    const { code, to } = all[at] ?? { code: 0, to: [] }
    const shift = (to[0] ?? 0) - code
    const step = (all[at + 1]?.code ?? code + 1) - code
    const follows = (n: number) => {
      const next = all[at + n]
      return next?.code === code + n * step && next.to.length === 1 && next.to[0] === next.code + shift
    }
    let length = 1
    while (to.length === 1 && step <= 2 && follows(length)) length++
    if (length > 2) parts.push(`${base36(code - before)}+${step}*${base36(length)}+${base36(shift)}`)
    else parts.push(`${base36(code - before)}=${to.map(base36).join(",")}`)
    at += length > 2 ? length : 1
    before = all[at - 1]?.code ?? 0
  }
  return parts.join(" ")
}

/** Pairs that become one character: `first second composed` of each. */
const compositions = (): string =>
  codePoints
    .flatMap((code) => {
      const char = String.fromCodePoint(code)
      const parts = Array.from(char.normalize("NFD"))
      if (isSyllable(code) || parts.length < 2 || char.normalize("NFC") !== char) return []
      const first = parts.slice(0, -1).join("").normalize("NFC")
      const pair = [...codesOf(first), ...codesOf(parts.at(-1) ?? ""), code]
      return pair.length === 3 ? pair : []
    })
    .map(base36)
    .join(" ")

/** Marks by their canonical order, as ranges of each class: marks of one class stay in the order in which they came. */
const orders = (): ReadonlyArray<string> => {
  const swaps = (a: string, b: string) => `x${a}${b}`.normalize("NFD") !== `x${a}`.normalize("NFD") + b.normalize("NFD")
  const [lowest, highest] = ["\u0334", "\u0345"]
  const marks = codePoints
    .map((code) => String.fromCodePoint(code))
    .filter((char) => /^\p{M}$/u.test(char) && char.normalize("NFD") === char)
    .filter((char) => swaps(char, lowest) || swaps(highest, char))
  const groups: Array<Array<string>> = []
  for (const mark of marks) {
    const same = groups.find(([one = ""]) => !swaps(mark, one) && !swaps(one, mark))
    if (same === undefined) groups.push([mark])
    else same.push(mark)
  }
  groups.sort(([a = ""], [b = ""]) => (swaps(a, b) ? 1 : -1))
  return groups.map((group) => rangesOf(group.map((mark) => mark.codePointAt(0) ?? 0)))
}

/** The text of the module that holds the tables. */
const tables = (): string => {
  const byClass = Map.groupBy(codePoints, classOf)
  const text = (value: string) => JSON.stringify(value)
  return `${[
    "/** Made by scripts/tokenizer-tables.ts from the data of Unicode, which its licence lets everybody use. */",
    "export const tables = {",
    `  unicode: ${text(unicode)},`,
    ...(["word", "spaceless", "mark", "ignored", "symbol"] as const).map(
      (name) => `  ${name}:\n    ${text(rangesOf(byClass.get(name) ?? []))},`
    ),
    `  folds:\n    ${text(folds())},`,
    `  compositions:\n    ${text(compositions())},`,
    `  orders: [\n${orders()
      .map((order) => `    ${text(order)}`)
      .join(",\n")}\n  ]`,
    "}"
  ].join("\n")}\n`
}

if (import.meta.main) {
  if (process.versions.unicode !== unicode) throw new Error(`This Node.js has Unicode ${process.versions.unicode}`)
  writeFileSync(new URL("../src/services/messages/search/TokenizerTables.ts", import.meta.url), tables())
}
