import { Effect } from "effect"
import { type InvalidRequest, invalid } from "../../../domain/Problem.ts"
import { type IndexedWords, quoted, runsIn } from "./Tokenizer.ts"

/** At most this many words of a query are looked for. */
const mostTerms = 64

/** The last word of a query is the beginning of a word when it has at least this many characters. */
const shortestPrefix = 3

/**
 * A word at its distance from the first one of a phrase. If `prefix` is true, it stands for every word that begins with
 * it.
 */
interface Term {
  readonly lexeme: string
  readonly prefix: boolean
  readonly offset: number
}

/** At least one word. The words must occur in a row, or must not if `negated`. */
interface Clause {
  readonly negated: boolean
  readonly terms: ReadonlyArray<Term>
}

/** Alternatives, in each of which every clause must hold. There is none where a query has no words. */
export type SearchQuery = ReadonlyArray<ReadonlyArray<Clause>>

/** The words of a part of a query. A single character of a script without spaces is the beginning of a pair. */
const termsOf = (part: string): Array<Term> => {
  const terms: Array<Term> = []
  let offset = 0
  for (const run of runsIn(part)) {
    if (run.kind === "word") terms.push({ lexeme: run.text, prefix: false, offset: offset++ })
    else {
      const { units } = run
      const pairs = units
        .slice(1)
        .map((unit, n) => ({ lexeme: `${units[n]}${unit}`, prefix: false, offset: offset + n }))
      if (pairs.length === 0) terms.push({ lexeme: units.join(""), prefix: true, offset })
      else for (const pair of pairs) terms.push(pair)
      offset += units.length
    }
  }
  return terms
}

const asPrefix = (terms: ReadonlyArray<Term>): ReadonlyArray<Term> => {
  const last = terms.at(-1)
  return last === undefined || [...last.lexeme].length < shortestPrefix
    ? terms
    : [...terms.slice(0, -1), { ...last, prefix: true }]
}

/** Words in quotation marks of any style, with or without the second one, or what has neither space nor such a mark. */
const part = /-?["“”„«»](?<quoted>[^"“”„«»]*)["“”„«»]?|[^\s"“”„«»]+/gu

/**
 * Reads a query: all words in any order, `"…"` for words in a row, `-` before a word or a phrase that must not occur,
 * and `or` between alternatives. Words that only punctuation joins (`report.pdf`) are words in a row. The last word is
 * the beginning of one, unless it is quoted or negated. Any text is a query; words after the 64th are ignored.
 */
export const parseQuery = (query: string): SearchQuery => {
  const alternatives: Array<Array<Clause>> = [[]]
  const parts = Array.from(query.matchAll(part))
  let left = mostTerms
  let open = false
  for (const [n, { 0: text, groups }] of parts.entries()) {
    const clauses = alternatives.at(-1) ?? []
    if (text.toLowerCase() === "or" && clauses.length > 0 && n < parts.length - 1) {
      alternatives.push([])
      continue
    }
    const words = termsOf(groups?.quoted ?? text)
    const terms = words.slice(0, left)
    left -= terms.length
    const negated = text.startsWith("-")
    if (words.length > 0) open = groups?.quoted === undefined && !negated && terms.length === words.length
    if (terms.length > 0) clauses.push({ negated, terms })
  }
  const last = open ? alternatives.at(-1)?.pop() : undefined
  if (last !== undefined) alternatives.at(-1)?.push({ ...last, terms: asPrefix(last.terms) })
  return alternatives.filter((clauses) => clauses.length > 0)
}

/** Whether each alternative has a word that must occur. An alternative with negations only matches nearly everything. */
export const isSelective = (query: SearchQuery): boolean =>
  query.every((clauses) => clauses.some(({ negated }) => !negated))

/**
 * Reads the query of a search. `InvalidRequest` where it only says what to leave out, because that would be nearly every
 * message; a query without any words has no alternatives and finds nothing.
 */
export const readQuery = (query: string): Effect.Effect<SearchQuery, InvalidRequest> => {
  const parsed = parseQuery(query)
  return isSelective(parsed)
    ? Effect.succeed(parsed)
    : Effect.fail(invalid("query", "must have a word to find in each alternative, and not only words to exclude"))
}

/** The words whose positions decide how well a text matches. */
export const rankedTerms = (query: SearchQuery): ReadonlyArray<Term> =>
  query.flatMap((clauses) => clauses.filter(({ negated }) => !negated).flatMap(({ terms }) => terms))

const positionsOf = (tokens: IndexedWords, { lexeme, prefix }: Term): ReadonlyArray<number> =>
  prefix
    ? Array.from(tokens).flatMap(([word, positions]) => (word.startsWith(lexeme) ? positions : []))
    : (tokens.get(lexeme) ?? [])

/** How often the words of a clause stand in a row. */
const timesIn = (tokens: IndexedWords, { terms: [first, ...rest] }: Clause): number => {
  if (first === undefined) return 0
  let starts = positionsOf(tokens, first)
  for (const term of rest) {
    if (starts.length === 0) return 0
    const positions = new Set(positionsOf(tokens, term))
    starts = starts.filter((start) => positions.has(start + term.offset - first.offset))
  }
  return starts.length
}

/** Whether a text matches, as PostgreSQL would say with `toTsquery`. */
export const matches = (query: SearchQuery, tokens: IndexedWords): boolean =>
  query.some((clauses) => clauses.every((clause) => timesIn(tokens, clause) > 0 !== clause.negated))

/** How often the words and phrases of a query occur in a text. */
export const rankOf = (query: SearchQuery, tokens: IndexedWords): number =>
  query
    .flat()
    .filter(({ negated }) => !negated)
    .reduce((sum, clause) => sum + timesIn(tokens, clause), 0)

const phraseText = (terms: ReadonlyArray<Term>): string =>
  terms
    .map(({ lexeme, offset, prefix }, n) => {
      const distance = offset - (terms[n - 1]?.offset ?? offset)
      return `${n === 0 ? "" : ` <${distance}> `}${quoted(lexeme)}${prefix ? ":*" : ""}`
    })
    .join("")

/** The query in the form that PostgreSQL casts to tsquery without a parser of its own; empty where it has no words. */
export const toTsquery = (query: SearchQuery): string =>
  query
    .map((clauses) => clauses.map(({ negated, terms }) => `${negated ? "!" : ""}(${phraseText(terms)})`).join(" & "))
    .join(" | ")
