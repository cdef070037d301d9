import { Effect, Layer } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import type { MessageSearch } from "../../domain/Search.ts"
import { toMessage } from "../../services/log/MessageRows.ts"
import { Search } from "../../services/messages/search/Search.ts"
import {
  byTime,
  pageOfWindow,
  rankedFrom,
  searchCursor,
  windowOf,
  windowSize
} from "../../services/messages/search/SearchPages.ts"
import { matches, rankOf, readQuery, type SearchQuery } from "../../services/messages/search/SearchQuery.ts"
import { tokenize } from "../../services/messages/search/Tokenizer.ts"
import { checkLimit } from "../../services/platform/Paging.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { historyOf, membership, rowOf } from "./Log.ts"
import { Memory } from "./State.ts"

/** Search in `Memory`: it reads every message. */
export const layerMemory = Layer.effect(
  Search,
  Effect.gen(function* () {
    const { conversations } = yield* Memory
    const { limits } = yield* Settings

    const matchesOf = (userId: UserId, search: MessageSearch, query: SearchQuery) =>
      Array.from(conversations.values()).flatMap((conversation) => {
        const me = conversation.members.get(userId)
        if (me?.leftSeq !== null || (search.conversationId ?? conversation.id) !== conversation.id) return []
        return historyOf(conversation, me).flatMap((message) => {
          const { createdAt, deletedAt, senderId, seq } = message
          const tokens = tokenize(message.body)
          if (deletedAt !== null || !matches(query, tokens)) return []
          if ((search.senderId ?? senderId) !== senderId) return []
          if (search.before !== undefined && createdAt >= search.before) return []
          if (search.after !== undefined && createdAt <= search.after) return []
          const key = { at: createdAt.getTime(), conversationId: conversation.id, seq }
          const found = toMessage(rowOf(conversation, message, userId), me.visibleFromSeq)
          return [{ key, rank: rankOf(query, tokens), message: found }]
        })
      })

    return Search.of({
      messages: Effect.fnUntraced(function* (userId, search, page) {
        yield* checkLimit(page, limits.pageSize)
        const query = yield* readQuery(search.query)
        const start = page.cursor === undefined ? {} : yield* searchCursor.decode(page.cursor)
        const { from, to } = start
        if (search.conversationId !== undefined) yield* membership(conversations, userId, search.conversationId)
        const found = matchesOf(userId, search, query)
          .filter(({ key }) => to === undefined || byTime(key, to) <= 0)
          .filter(({ key }) => from === undefined || byTime(key, from) >= 0)
          .sort((a, b) => byTime(b.key, a.key))
        const newest = from === undefined ? found.slice(0, windowSize) : found
        const floor = newest.length < found.length ? newest.at(-1)?.key : undefined
        const messages = new Map(newest.map((match) => [match.key, match.message]))
        const ranked = rankedFrom(start, newest, page.limit)
        const items = ranked.slice(0, page.limit).flatMap(({ key }) => messages.get(key) ?? [])
        return pageOfWindow(windowOf(start, newest, floor), ranked, items, page.limit)
      })
    })
  })
)
