import { Context, Effect, Layer } from "effect"
import type { UserId } from "../domain/Ids.ts"
import type { Message } from "../domain/Message.ts"
import type { Page, PageRequest } from "../domain/Page.ts"
import type { InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import type { MessageSearch } from "../domain/Search.ts"
import { makeSearchMemory } from "./SearchMemory.ts"
import { makeSearchSql } from "./SearchSql.ts"

/** Finds messages by their words. */
export class Search extends Context.Service<
  Search,
  {
    /**
     * Messages of living memberships that the user may see. They are ranked a thousand at a time: the newest thousand
     * matches by how well they match (of two alike the newer first), then the thousand before those. So a search for a
     * common word costs no more than one for a rare one, and what is sent meanwhile moves no page. A page may have fewer
     * items than asked for while there is a `nextCursor`. `NotFound` for a conversation that is not the user's.
     */
    readonly messages: (
      userId: UserId,
      search: MessageSearch,
      page: PageRequest
    ) => Effect.Effect<Page<Message>, InvalidRequest | NotFound | Unavailable>
  }
>()("chat/services/Search") {
  /** On PostgreSQL. */
  static readonly layer = Layer.effect(Search, Effect.map(makeSearchSql, Search.of))

  /** In `Memory`. */
  static readonly layerTest = Layer.effect(Search, Effect.map(makeSearchMemory, Search.of))
}
