import { Context, type Effect } from "effect"
import type { UserId } from "../../../domain/Ids.ts"
import type { Message } from "../../../domain/Message.ts"
import type { Page, PageRequest } from "../../../domain/Page.ts"
import type { InvalidRequest, NotFound, Unavailable } from "../../../domain/Problem.ts"
import type { MessageSearch } from "../../../domain/Search.ts"

/** Finds messages by their words. */
export class Search extends Context.Service<
  Search,
  {
    /**
     * Finds messages that the user may see, in the conversations that the user is a member of. They are ranked a thousand
     * at a time: first the newest thousand matches by how well they match (the newer one first when two match equally
     * well), then the thousand before those. So a search for a common word costs no more than one for a rare word, and
     * messages that are sent meanwhile do not move the pages. A page with a `nextCursor` may have fewer items than the
     * limit. Fails with `NotFound` for a conversation that the user is not a member of, and `InvalidRequest` for a bad
     * limit or cursor.
     */
    readonly messages: (
      userId: UserId,
      search: MessageSearch,
      page: PageRequest
    ) => Effect.Effect<Page<Message>, InvalidRequest | NotFound | Unavailable>
  }
>()("chat/services/Search") {}
