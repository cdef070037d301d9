import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId } from "../domain/Ids.ts"
import { every } from "./Background.ts"
import { messagesSent } from "./MetricDefinitions.ts"
import { Metrics } from "./Metrics.ts"
import { orUnavailable } from "./Sql.ts"

/** Some 10 MB of conversations whose kind is known. */
const remembered = 50_000

/** One statement takes no more. */
const step = 1000

/**
 * Counts stored messages by the kind of their conversation. An append need not know the kind, so it is looked up beside,
 * once for each conversation, and the count follows within seconds.
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

  const look = Effect.gen(function* () {
    if (waiting.size === 0) return
    const ids = [...waiting.keys()].slice(0, step)
    const rows = yield* sql<{ id: ConversationId; kind: "dm" | "group" }>`
      SELECT id, kind FROM conversations WHERE id = ANY (${ids}::uuid[])`
    if (kinds.size > remembered) kinds.clear()
    for (const { id, kind } of rows) {
      kinds.set(id, kind)
      counts[kind](waiting.get(id))
      waiting.delete(id)
    }
  }).pipe(orUnavailable)
  yield* every("1 second", "the look at kinds of conversations", look)

  return (id: ConversationId, messages: number): void => {
    const kind = kinds.get(id)
    if (kind !== undefined) counts[kind](messages)
    else waiting.set(id, (waiting.get(id) ?? 0) + messages)
  }
})
