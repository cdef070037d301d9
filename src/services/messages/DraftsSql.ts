import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../../domain/Ids.ts"
import { noConversation } from "../../domain/Refusals.ts"
import { refuse } from "../log/Changes.ts"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { type DraftRow, DraftStorage, Drafts, draftChanged } from "./Drafts.ts"

const storage = Layer.effect(
  DraftStorage,
  Effect.map(SqlClient.SqlClient, (sql) => {
    // The OFFSET 0 keeps it at one index lookup for each draft of the page, instead of a join of all memberships.
    const draftsOf = (userId: UserId) => sql`
      SELECT d.conversation_id, d.body, d.reply_to, d.updated_at, d.user_seq FROM drafts d
      WHERE d.user_id = ${userId}::uuid AND EXISTS (SELECT FROM conversation_members m
        WHERE m.conversation_id = d.conversation_id AND m.user_id = d.user_id AND m.left_seq IS NULL OFFSET 0)`
    return DraftStorage.of({
      set: Effect.fnUntraced(function* (userId, conversationId, { body, replyTo }, ifUserSeq) {
        const [row] = yield* sql<{ outcome: string; updatedAt: Date; userSeq: number }>`
          SELECT * FROM put_draft(${userId}::uuid, ${conversationId}::uuid, ${body}::text, ${replyTo}::uuid,
            ${ifUserSeq}::bigint)`.pipe(retryDeadlocks)
        yield* refuse(row?.outcome, { "not-a-member": noConversation, "draft-changed": draftChanged })
        return row?.outcome === "changed" ? row : null
      }, orUnavailable),
      list: (userId, before, limit) =>
        orUnavailable(sql<DraftRow>`${draftsOf(userId)} AND d.body IS NOT NULL AND d.user_seq < ${before}::bigint
          ORDER BY d.user_seq DESC LIMIT ${limit}`),
      changedAfter: (userId, userSeq) =>
        orUnavailable(sql<DraftRow>`${draftsOf(userId)} AND d.user_seq > ${userSeq}::bigint ORDER BY d.user_seq`)
    })
  })
)

/** Drafts on PostgreSQL. */
export const layer = Drafts.layerNoDeps.pipe(Layer.provide(storage))
