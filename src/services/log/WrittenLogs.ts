import { Context } from "effect"
import type { ConversationId } from "../../domain/Ids.ts"

/** At most this many conversations are remembered. */
const most = 100_000

/**
 * The conversations to whose logs this node has written, for work that follows the writes. It is only a hint: it is lost
 * with the process, and it forgets conversations beyond the first hundred thousand that nobody has taken.
 */
export class WrittenLogs extends Context.Service<
  WrittenLogs,
  {
    /** Remembers a conversation. Repeating it changes nothing. */
    readonly add: (conversationId: ConversationId) => void
    /** Removes at most `count` conversations and returns them, those that were added first at the beginning. */
    readonly take: (count: number) => ReadonlyArray<ConversationId>
  }
>()("chat/services/WrittenLogs") {
  /** Makes an empty set. */
  static readonly make = () => {
    const written = new Set<ConversationId>()
    return WrittenLogs.of({
      add: (id) => {
        if (written.size < most) written.add(id)
      },
      take: (count) => {
        const ids = Array.from(written).slice(0, count)
        for (const id of ids) written.delete(id)
        return ids
      }
    })
  }
}
