import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { beforeEveryId, type ConversationId } from "../../../domain/Ids.ts"
import { orUnavailable } from "../../platform/Sql.ts"
import { type IndexStep, isUnfinished } from "./IndexStep.ts"

/** A step of the sweep looks at this many conversations … */
const conversationsPerPage = 2000

/** … and indexes at most this many of them. */
const conversationsPerStep = 200

/**
 * Makes a step of the sweep, which goes once through all conversations for what is not in the change feed: messages that
 * are older than the feed, and words of an older tokenizer. The database knows how far it has come, for all nodes. A step
 * is false when nothing is left for this node, which is so too when nodes with a newer tokenizer do it.
 */
export const makeIndexSweep = Effect.fnUntraced(function* (version: number, { index, isBehind, lock }: IndexStep) {
  const sql = yield* SqlClient.SqlClient

  const begin = sql`
    UPDATE search_sweep SET tokenizer = ${version}::int, next_id = ${beforeEveryId}::uuid
    WHERE tokenizer < ${version}::int`

  const nextBehind = sql<{ id: ConversationId }>`
    SELECT h.conversation_id AS id FROM search_sweep w CROSS JOIN LATERAL (
      SELECT x.conversation_id, x.seq FROM conversation_heads x WHERE x.conversation_id >= w.next_id
      ORDER BY x.conversation_id LIMIT ${conversationsPerPage}
    ) h LEFT JOIN LATERAL (
      SELECT * FROM search_heads x WHERE x.conversation_id = h.conversation_id LIMIT 1
    ) s ON true
    WHERE w.tokenizer = ${version}::int AND ${isBehind}
    ORDER BY h.conversation_id LIMIT ${conversationsPerStep}`

  /** Goes on at `id`, or, when it is undefined, after the page, whose last conversation is looked at again. */
  const goOn = (id: ConversationId | undefined) => sql<{ nextId: ConversationId | null }>`
    UPDATE search_sweep w SET next_id = COALESCE(${id ?? null}::uuid, (
      SELECT x.conversation_id FROM conversation_heads x WHERE x.conversation_id >= w.next_id
      ORDER BY x.conversation_id OFFSET ${conversationsPerPage - 1} LIMIT 1))
    WHERE w.tokenizer = ${version}::int RETURNING next_id`

  return Effect.fn("SearchIndex.sweep")(
    function* () {
      const { locked } = yield* lock
      if (!locked) return true
      yield* begin
      const ids = (yield* nextBehind).map(({ id }) => id)
      const left = new Set(
        (yield* index(ids)).filter(isUnfinished(version)).map(({ conversationId }) => conversationId)
      )
      const [state] = yield* goOn(
        ids.find((id) => left.has(id)) ?? (ids.length === conversationsPerStep ? ids.at(-1) : undefined)
      )
      return (state?.nextId ?? null) !== null
    },
    sql.withTransaction,
    orUnavailable
  )
})
