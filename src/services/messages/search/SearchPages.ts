import { Schema } from "effect"
import { ConversationId, Seq } from "../../../domain/Ids.ts"
import type { Message } from "../../../domain/Message.ts"
import type { Page } from "../../../domain/Page.ts"
import { cursorOf, Millis } from "../../platform/Paging.ts"

/** This many matches are ranked at a time. */
export const windowSize = 1000

/** The key of a match in the order of time. `at` is in milliseconds since 1970. */
const MatchKey = Schema.Struct({ at: Millis, conversationId: ConversationId, seq: Seq })
export type MatchKey = typeof MatchKey.Type

/**
 * Where a page begins: in the window of the matches `from … to`, both included, below `last`. `more` says that there are
 * matches older than the window. An absent bound does not limit anything.
 */
const PageStart = Schema.Struct({
  to: Schema.optionalKey(MatchKey),
  from: Schema.optionalKey(MatchKey),
  more: Schema.optionalKey(Schema.Boolean),
  last: Schema.optionalKey(Schema.Struct({ ...MatchKey.fields, rank: Schema.Finite }))
})
export type PageStart = typeof PageStart.Type

/** The cursor of the results of a search. */
export const searchCursor = cursorOf(PageStart)

/** A window of matches as it was found, in the order of time. `more` says that there may be older matches. */
interface Window {
  readonly newest: MatchKey | null
  readonly oldest: MatchKey | null
  readonly more: boolean
}

/** A match and how well it matches. */
export interface Ranked {
  readonly key: MatchKey
  readonly rank: number
}

const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

/** Compares by time; the key of the older message comes first. */
export const byTime = (a: MatchKey, b: MatchKey) =>
  a.at - b.at || byText(a.conversationId, b.conversationId) || a.seq - b.seq

const byRank = (a: Ranked, b: Ranked) => a.rank - b.rank || byTime(a.key, b.key)

/** The matches of the window that come after the place where the page begins, best first, and one more than the limit. */
export const rankedFrom = (start: PageStart, matches: ReadonlyArray<Ranked>, limit: number): ReadonlyArray<Ranked> => {
  const last = start.last === undefined ? undefined : { key: start.last, rank: start.last.rank }
  return matches
    .filter((match) => last === undefined || byRank(match, last) < 0)
    .sort((a, b) => byRank(b, a))
    .slice(0, limit + 1)
}

/**
 * Makes a page of a window, whose matches are those of `rankedFrom`. `messages` belong to the first of them, as many as
 * the limit.
 */
export const pageOfWindow = (
  window: Window,
  ranked: ReadonlyArray<Ranked>,
  items: ReadonlyArray<Message>,
  limit: number
): Page<Message> => {
  const { more, newest: to, oldest: from } = window
  const last = ranked.length > limit ? ranked[limit - 1] : undefined
  if (last !== undefined && to !== null && from !== null) {
    const { key, rank } = last
    return { items, nextCursor: searchCursor.encode({ to, from, more, last: { ...key, rank } }) }
  }
  return more && from !== null
    ? { items, nextCursor: searchCursor.encode({ to: { ...from, seq: Math.max(0, from.seq - 1) } }) }
    : { items }
}

/**
 * The window of some matches. `floor` is the oldest place that was looked at when not all were; the window of an earlier
 * page keeps its bounds.
 */
export const windowOf = (start: PageStart, matches: ReadonlyArray<Ranked>, floor: MatchKey | undefined): Window => {
  const keys = matches.map(({ key }) => key).sort(byTime)
  return {
    newest: start.to ?? keys.at(-1) ?? null,
    oldest: floor ?? start.from ?? keys[0] ?? null,
    more: floor !== undefined || start.more === true
  }
}
