import { Effect } from "effect"
import { historyOf, membership, rowOf } from "./LogMemory.ts"
import { Memory } from "./Memory.ts"
import { toMessage } from "./MessageRows.ts"
import { checkLimit } from "./Paging.ts"
import type { Search } from "./Search.ts"
import { type Place, pageOfWindow, type Ranked, searchCursor, windowSize } from "./SearchPages.ts"
import { Settings } from "./Settings.ts"

const wordsOf = (text: string): ReadonlyArray<string> =>
  text
    .normalize("NFC")
    .toLowerCase()
    .match(/[\p{L}\p{N}]+/gu) ?? []

const timesIn = (words: ReadonlyArray<string>, phrase: ReadonlyArray<string>) =>
  words.filter((_, start) => phrase.every((word, n) => words[start + n] === word)).length

interface Term {
  readonly phrase: ReadonlyArray<string>
  readonly negated: boolean
}

/** Alternatives, in each of which all terms must hold. */
const parse = (query: string): ReadonlyArray<ReadonlyArray<Term>> => {
  const alternatives: Array<Array<Term>> = [[]]
  for (const [token] of query.matchAll(/-?"[^"]*"?|\S+/g)) {
    if (token.toLowerCase() === "or") alternatives.push([])
    else {
      const phrase = wordsOf(token)
      if (phrase.length > 0) alternatives.at(-1)?.push({ phrase, negated: token.startsWith("-") })
    }
  }
  return alternatives.filter((terms) => terms.length > 0)
}

/** How often the words of the query are there, or null where they do not match. */
const rankOf = (query: string, body: string): number | null => {
  const words = wordsOf(body)
  const alternatives = parse(query)
  const matches = alternatives.some((terms) =>
    terms.every(({ negated, phrase }) => timesIn(words, phrase) > 0 !== negated)
  )
  if (!matches) return null
  const terms = alternatives.flat().filter(({ negated }) => !negated)
  return terms.reduce((sum, { phrase }) => sum + timesIn(words, phrase), 0)
}

const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

const byTime = (a: Place, b: Place) => a.at - b.at || byText(a.conversationId, b.conversationId) || a.seq - b.seq

const byRank = (a: Place & { readonly rank: number }, b: Place & { readonly rank: number }) =>
  a.rank - b.rank || byTime(a, b)

/** Search in `Memory`: reads everything. */
export const makeSearchMemory = Effect.gen(function* () {
  const { conversations } = yield* Memory
  const { limits } = yield* Settings

  const messages: Search["Service"]["messages"] = Effect.fnUntraced(function* (userId, search, page) {
    yield* checkLimit(page, limits.pageSize)
    const { from, last, to, ...rest } = page.cursor === undefined ? {} : yield* searchCursor.decode(page.cursor)
    if (search.conversationId !== undefined) yield* membership(conversations, search.conversationId, userId)
    const found = Array.from(conversations.values()).flatMap((conversation) => {
      const me = conversation.members.get(userId)
      if (me?.leftSeq !== null || (search.conversationId ?? conversation.id) !== conversation.id) return []
      return historyOf(conversation, me).flatMap((message): ReadonlyArray<Ranked> => {
        const { createdAt, deletedAt, senderId, seq } = message
        const rank = deletedAt === null ? rankOf(search.query, message.body) : null
        if (rank === null || (search.senderId ?? senderId) !== senderId) return []
        if (search.before !== undefined && createdAt >= search.before) return []
        if (search.after !== undefined && createdAt <= search.after) return []
        const place = { at: createdAt.getTime(), conversationId: conversation.id, seq }
        return [{ place, rank, message: toMessage(rowOf(conversation, message, userId), me.visibleFromSeq) }]
      })
    })
    const newest = found
      .filter(
        ({ place }) => (to === undefined || byTime(place, to) <= 0) && (from === undefined || byTime(place, from) >= 0)
      )
      .sort((a, b) => byTime(b.place, a.place))
      .slice(0, windowSize)
    const ranked = newest
      .map((each) => ({ ...each, at: { ...each.place, rank: each.rank } }))
      .filter(({ at }) => last === undefined || byRank(at, last) < 0)
      .sort((a, b) => byRank(b.at, a.at))
    const window = {
      matches: newest.length,
      newest: newest[0]?.place ?? null,
      oldest: newest.at(-1)?.place ?? null
    }
    const position = {
      ...rest,
      ...(to !== undefined && { to }),
      ...(from !== undefined && { from }),
      ...(last !== undefined && { last })
    }
    return pageOfWindow(position, window, ranked.slice(0, page.limit + 1), page.limit)
  })

  return { messages }
})
