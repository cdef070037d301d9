import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { unreadCap } from "../../domain/Conversation.ts"
import { noMessage } from "../../domain/Refusals.ts"
import { participantCap } from "../../domain/Thread.ts"
import { refuse } from "../log/Changes.ts"
import { notHiddenFrom } from "../log/MessageRows.ts"
import { countInWindows } from "../log/Windows.ts"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { type ThreadState, ThreadStorage, Threads } from "./Threads.ts"

const storage = Layer.effect(
  ThreadStorage,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const unread = countInWindows(sql, {
      number: "m.thread_place",
      from: "GREATEST(place.first, place.unread)",
      through: "r.thread_reply_count",
      belongs: sql.literal("m.conversation_id = me.conversation_id AND m.thread_root_seq = r.seq"),
      shown: `m.sender_id <> me.user_id AND m.deleted_at IS NULL AND ${notHiddenFrom("m")}`,
      stops: undefined,
      cap: unreadCap
    })
    return ThreadStorage.of({
      find: Effect.fnUntraced(function* (userId, conversationId, messageId) {
        const [state] = yield* sql<ThreadState>`
          SELECT r.id AS root_id, r.seq AS root_seq,
            r.thread_reply_count + 1 - place.first AS reply_count,
            ARRAY(SELECT t.user_id FROM thread_members t WHERE t.conversation_id = me.conversation_id
              AND t.root_seq = r.seq AND t.last_reply_seq >= me.visible_from_seq
              ORDER BY t.last_reply_seq DESC LIMIT ${participantCap}) AS participants,
            COALESCE(mine.read_seq, r.seq) AS read_seq,
            (${unread}) AS unread_count
          FROM conversation_members me
          CROSS JOIN LATERAL thread_root(me.conversation_id, me.visible_from_seq, ${messageId}::uuid) root
          JOIN messages r ON r.conversation_id = me.conversation_id AND r.seq = root
          LEFT JOIN thread_members mine ON mine.conversation_id = me.conversation_id AND mine.root_seq = r.seq
            AND mine.user_id = me.user_id
          CROSS JOIN LATERAL (
            SELECT thread_place_of(me.conversation_id, r.seq, me.visible_from_seq)::bigint AS first,
              thread_place_of(me.conversation_id, r.seq, COALESCE(mine.read_seq, r.seq) + 1)::bigint AS unread
            OFFSET 0
          ) place
          WHERE me.conversation_id = ${conversationId}::uuid AND me.user_id = ${userId}::uuid
            AND me.left_seq IS NULL`
        return state ?? (yield* noMessage)
      }, orUnavailable),
      mark: Effect.fnUntraced(function* (userId, conversationId, messageId, seq) {
        const [marked] = yield* sql<{ outcome: string }>`
          SELECT outcome FROM mark_thread(${conversationId}::uuid, ${userId}::uuid, ${messageId}::uuid,
            ${seq}::bigint)`.pipe(retryDeadlocks)
        yield* refuse(marked?.outcome, { "no-message": noMessage })
        return marked?.outcome === "changed"
      }, orUnavailable)
    })
  })
)

/** Threads on PostgreSQL. */
export const layer = Threads.layerNoDeps.pipe(Layer.provide(storage))
