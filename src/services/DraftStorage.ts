import { Clock, Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, MessageId, UserId } from "../domain/Ids.ts"
import type { NotFound, Unavailable } from "../domain/Problem.ts"
import { makeChangesMemory } from "./ChangesMemory.ts"
import { membership } from "./LogMemory.ts"
import { noConversation } from "./LogReader.ts"
import { Memory } from "./Memory.ts"
import { isRetryable, orUnavailable } from "./Sql.ts"

/** A row of `drafts`; one that was cleared has no body. */
export interface DraftRow {
  readonly conversationId: ConversationId
  readonly body: string | null
  readonly replyTo: MessageId | null
  readonly updatedAt: Date
}

type Stored = DraftRow & { readonly userSeq: number }

/** Where drafts are kept. Only those of living memberships are found. */
export interface DraftStorage {
  /** When it was changed; null when it was the same already. */
  readonly set: (
    userId: UserId,
    conversationId: ConversationId,
    content: Pick<DraftRow, "body" | "replyTo">
  ) => Effect.Effect<Date | null, NotFound | Unavailable>
  /** Without the cleared ones, from the highest user seq below `before` on. */
  readonly list: (userId: UserId, before: number, limit: number) => Effect.Effect<ReadonlyArray<Stored>, Unavailable>
  /** In the order of the user seqs. */
  readonly changedAfter: (userId: UserId, userSeq: number) => Effect.Effect<ReadonlyArray<Stored>, Unavailable>
}

/** In PostgreSQL. */
export const makeSqlDrafts = Effect.map(SqlClient.SqlClient, (sql): DraftStorage => {
  const mine = (userId: UserId) => sql`
    SELECT d.conversation_id, d.body, d.reply_to, d.updated_at, d.user_seq FROM drafts d
    JOIN conversation_members m ON m.conversation_id = d.conversation_id AND m.user_id = d.user_id AND m.left_seq IS NULL
    WHERE d.user_id = ${userId}::uuid`
  return {
    set: Effect.fnUntraced(function* (userId, conversationId, { body, replyTo }) {
      const [row] = yield* sql<{ outcome: string; updatedAt: Date }>`
        SELECT * FROM set_draft(${userId}::uuid, ${conversationId}::uuid, ${body}::text, ${replyTo}::uuid)`.pipe(
        Effect.retry({ while: isRetryable, times: 2 })
      )
      if (row === undefined || row.outcome === "not-a-member") return yield* noConversation
      return row.outcome === "changed" ? row.updatedAt : null
    }, orUnavailable),
    list: (userId, before, limit) =>
      orUnavailable(sql<Stored>`${mine(userId)} AND d.body IS NOT NULL AND d.user_seq < ${before}::bigint
        ORDER BY d.user_seq DESC LIMIT ${limit}`),
    changedAfter: (userId, userSeq) =>
      orUnavailable(sql<Stored>`${mine(userId)} AND d.user_seq > ${userSeq}::bigint ORDER BY d.user_seq`)
  }
})

/** In memory, beside `Memory`. */
export const makeMemoryDrafts = Effect.gen(function* () {
  const { conversations } = yield* Memory
  const { atomically, nextUserSeq } = yield* makeChangesMemory
  const drafts = new Map<UserId, Map<ConversationId, Stored>>()
  const mine = (userId: UserId) =>
    Array.from(drafts.get(userId)?.values() ?? [])
      .filter(({ conversationId }) => conversations.get(conversationId)?.members.get(userId)?.leftSeq === null)
      .sort((a, b) => a.userSeq - b.userSeq)
  const storage: DraftStorage = {
    set: (userId, conversationId, content) =>
      atomically(
        Effect.gen(function* () {
          yield* membership(conversations, conversationId, userId)
          const { body, replyTo } = drafts.get(userId)?.get(conversationId) ?? { body: null, replyTo: null }
          if (body === content.body && replyTo === content.replyTo) return null
          const updatedAt = new Date(yield* Clock.currentTimeMillis)
          const stored = { ...content, conversationId, updatedAt, userSeq: nextUserSeq(userId) }
          drafts.set(userId, (drafts.get(userId) ?? new Map<ConversationId, Stored>()).set(conversationId, stored))
          return updatedAt
        })
      ),
    list: (userId, before, limit) =>
      Effect.sync(() =>
        mine(userId)
          .filter(({ body, userSeq }) => body !== null && userSeq < before)
          .reverse()
          .slice(0, limit)
      ),
    changedAfter: (userId, userSeq) => Effect.sync(() => mine(userId).filter((row) => row.userSeq > userSeq))
  }
  return storage
})
