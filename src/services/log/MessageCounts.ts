import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId } from "../../domain/Ids.ts"
import { every } from "../platform/Background.ts"
import { messagesSent } from "../platform/MetricDefinitions.ts"
import { Metrics } from "../platform/Metrics.ts"
import { orUnavailable } from "../platform/Sql.ts"

/** How many conversations have their kind cached, which takes about 10 MB. */
const cachedKinds = 50_000

/** The most conversations that one statement looks up. */
const lookupSize = 1000

/**
 * Makes a counter of stored messages by the kind of their conversation. An append does not know the kind, so it is
 * looked up in the background, once for each conversation, and the count follows within seconds.
 */
export const makeMessageCounts = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const metrics = yield* Metrics
  const counts = {
    dm: metrics.counter(messagesSent, { kind: "dm" }),
    group: metrics.counter(messagesSent, { kind: "group" })
  }
  const kinds = new Map<ConversationId, "dm" | "group">()
  const waiting = new Map<ConversationId, number>()

  const lookUp = Effect.gen(function* () {
    if (waiting.size === 0) return
    const ids = [...waiting.keys()].slice(0, lookupSize)
    const rows = yield* sql<{ id: ConversationId; kind: "dm" | "group" }>`
      SELECT id, kind FROM conversations WHERE id = ANY (${ids}::uuid[])`
    if (kinds.size > cachedKinds) kinds.clear()
    for (const { id, kind } of rows) {
      kinds.set(id, kind)
      counts[kind](waiting.get(id))
      waiting.delete(id)
    }
  }).pipe(orUnavailable)
  yield* every("1 second", "looking up the kinds of conversations", lookUp)

  return (id: ConversationId, messages: number): void => {
    const kind = kinds.get(id)
    if (kind !== undefined) counts[kind](messages)
    else waiting.set(id, (waiting.get(id) ?? 0) + messages)
  }
})
