import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId } from "../../../domain/Ids.ts"
import { noConversation } from "../../../domain/Refusals.ts"
import { toMessage } from "../../log/MessageRows.ts"
import { checkLimit } from "../../platform/Paging.ts"
import { Settings } from "../../platform/Settings.ts"
import { orUnavailable } from "../../platform/Sql.ts"
import { Search } from "./Search.ts"
import { weekMs } from "./SearchLexemes.ts"
import {
  byTime,
  type MatchKey,
  pageOfWindow,
  type Ranked,
  rankedFrom,
  searchCursor,
  windowOf,
  windowSize
} from "./SearchPages.ts"
import { matches, rankOf, readQuery } from "./SearchQuery.ts"
import {
  type MatchRow,
  matchStatement,
  oneSnapshot,
  type PendingRow,
  pageStatement,
  pendingStatement,
  type Reach,
  type Scope,
  searchSettings
} from "./SearchStatement.ts"
import { tokenize } from "./Tokenizer.ts"

/**
 * At most this many messages that are not indexed yet, with about this many characters in total, are matched for one
 * page. The window ends with the last of them.
 */
const mostPending = 500
const mostCharacters = 400_000

/** The event loop gets a turn after this many bodies. */
const bodiesPerTurn = 20

/** How many weeks are searched before all that is older. A common word has enough matches in the first of them. */
const fewWeeks = [4]
const moreWeeks = [4, 8, 16, 32]

const keyOf = ({
  conversationId,
  createdAt,
  seq
}: Pick<MatchRow, "conversationId" | "createdAt" | "seq">): MatchKey => ({
  at: createdAt.getTime(),
  conversationId,
  seq
})

const idOf = ({ conversationId, seq }: MatchKey) => `${conversationId} ${seq}`

/** The later of two places, of which either may be absent. */
const later = (a: MatchKey | undefined, b: MatchKey | undefined) =>
  a === undefined || (b !== undefined && byTime(a, b) < 0) ? b : a

/**
 * The spans to search one after the other: some weeks before `until`, from the newest to the oldest, and then
 * everything else.
 */
const reachesOf = (weeks: ReadonlyArray<number>, until: number): ReadonlyArray<Reach> => {
  const reaches: Array<Reach> = []
  let before = until
  for (const count of weeks) {
    const since = Math.max(0, before - count * weekMs)
    reaches.push({ within: { since, before } })
    before = since
  }
  return [...reaches, { outside: { since: before, before: until } }]
}

type PendingMessage = Exclude<PendingRow, { readonly id: null }>

/** The first of the messages that are few and short enough to be matched; there is at least one if there is any. */
const readable = (pending: ReadonlyArray<PendingMessage>): ReadonlyArray<PendingMessage> => {
  let characters = 0
  let count = 0
  for (const { body } of pending.slice(0, mostPending)) {
    if (characters > mostCharacters) break
    characters += body.length
    count++
  }
  return pending.slice(0, count)
}

const isMessage = (row: PendingRow): row is PendingMessage => row.id !== null

/** Search on PostgreSQL. SearchIndex fills its index. */
export const layer = Layer.effect(
  Search,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { limits } = yield* Settings

    /** The matches among messages that are not indexed yet. */
    const matchesOfPending = Effect.fnUntraced(function* ({ query }: Scope, pending: ReadonlyArray<PendingMessage>) {
      const found: Array<Ranked> = []
      for (const [n, row] of pending.entries()) {
        const tokens = tokenize(row.body)
        if (matches(query, tokens)) found.push({ key: keyOf(row), rank: rankOf(query, tokens) })
        if (n % bodiesPerTurn === bodiesPerTurn - 1) yield* Effect.yieldNow
      }
      return found
    })

    /** The newest matches of the index, at most `limit`: span by span, until there are enough. */
    const matchesOfIndex = Effect.fnUntraced(function* (
      scope: Scope,
      ids: ReadonlyArray<ConversationId> | null,
      until: number,
      limit: number
    ) {
      const found: Array<MatchRow> = []
      const { from } = scope
      const weeks = ids === null ? moreWeeks : fewWeeks
      const reaches: ReadonlyArray<Reach> = from === undefined ? reachesOf(weeks, until) : ["all"]
      for (const reach of reaches) {
        found.push(...(yield* matchStatement(sql, scope, ids, reach, limit - found.length)))
        if (found.length >= limit) break
      }
      return found
    })

    return Search.of({
      messages: Effect.fn("Search.messages")(
        function* (userId, search, page) {
          yield* checkLimit(page, limits.pageSize)
          const query = yield* readQuery(search.query)
          const start = page.cursor === undefined ? {} : yield* searchCursor.decode(page.cursor)
          const scope: Scope = { userId, search, query, to: start.to, from: start.from }
          yield* oneSnapshot(sql)
          yield* searchSettings(sql)
          const rows = yield* pendingStatement(sql, scope, query.length === 0 ? 0 : mostPending + 1)
          const [first] = rows
          if (first === undefined) return yield* Effect.die(new Error("The search answered without a row"))
          if (search.conversationId !== undefined && first.conversations === 0) return yield* noConversation
          if (query.length === 0 || first.conversations === 0) return { items: [] }

          const pending = rows.filter(isMessage)
          const read = readable(pending)
          const last = read.length < pending.length ? read.at(-1) : undefined
          const unread = last === undefined ? undefined : keyOf(last)
          const own = yield* matchesOfPending(scope, read)

          const limit = start.from === undefined ? windowSize : 2 * windowSize
          const until = Math.min(first.now.getTime(), start.to?.at ?? Number.POSITIVE_INFINITY) + 1
          const from = later(start.from, unread)
          const indexed = yield* matchesOfIndex({ ...scope, from }, first.ids, until, limit)
          const oldest = indexed.length < limit ? undefined : indexed.map(keyOf).sort(byTime)[0]
          const floor = later(unread, oldest)

          const edited = new Set(read.map((row) => idOf(keyOf(row))))
          const all = indexed
            .filter((row) => row.shown && !edited.has(idOf(keyOf(row))))
            .map((row): Ranked => ({ key: keyOf(row), rank: rankOf(query, new Map(row.found)) }))
            .concat(own)
            .filter(({ key }) => floor === undefined || byTime(key, floor) >= 0)
          const ranked = rankedFrom(start, all, page.limit)
          const keys = ranked.slice(0, page.limit).map(({ key }) => key)
          const messages = keys.length === 0 ? [] : yield* pageStatement(sql, userId, keys)
          const items = messages.map((row) => toMessage(row, row.visibleFromSeq))
          return pageOfWindow(windowOf(start, all, floor), ranked, items, page.limit)
        },
        sql.withTransaction,
        orUnavailable
      )
    })
  })
)
