import type { SqlClient } from "effect/sql"
import { unreadCap } from "../../domain/Conversation.ts"
import { everybody } from "../../domain/Ids.ts"
import { notHiddenFrom } from "../log/MessageRows.ts"
import { countInWindows } from "../log/Windows.ts"

/**
 * Subqueries that count the unread messages and mentions of a membership `me` of a conversation with the head `h`, each
 * up to the cap. A mention in a thread counts until the member has read the thread that far.
 */
export const unreadCounts = (sql: SqlClient.SqlClient) => {
  const messages = countInWindows(sql, {
    number: "m.seq",
    from: "GREATEST(me.read_seq + 1, me.visible_from_seq)",
    through: "h.seq",
    belongs: sql.literal(
      "m.conversation_id = me.conversation_id AND m.thread_root_seq IS NULL AND m.deleted_at IS NULL"
    ),
    shown: `m.sender_id <> me.user_id AND ${notHiddenFrom("m")}
      AND CASE WHEN m.type = 'system' THEN m.payload ->> 'silent' IS NULL ELSE true END`,
    stops: "live",
    cap: unreadCap
  })

  // The mentions of the member and those of everybody are looked up thread by thread, where 0 stands for no thread, so
  // that those in threads that were read are not read again. Each walk begins at -1, where nothing is, so that one look-up
  // ends it where nobody was mentioned. The LIMIT keeps each message at one index lookup.
  const mentions = sql`WITH RECURSIVE root AS (
      SELECT named.id, -1::bigint AS seq FROM (VALUES (me.user_id), (${everybody}::uuid)) named(id)
      UNION ALL
      SELECT root.id, next.seq FROM root CROSS JOIN LATERAL (
        SELECT x.thread_root_seq AS seq FROM mentions x WHERE x.conversation_id = me.conversation_id
          AND x.user_id = root.id AND x.thread_root_seq > root.seq ORDER BY x.thread_root_seq LIMIT 1
      ) next
    ) SELECT count(*) FROM (
      SELECT FROM root LEFT JOIN LATERAL (
        SELECT t.read_seq FROM thread_members t WHERE t.conversation_id = me.conversation_id AND t.root_seq = root.seq
          AND t.user_id = me.user_id AND root.seq > 0 LIMIT 1
      ) thread ON true
      CROSS JOIN LATERAL (
        SELECT FROM mentions x CROSS JOIN LATERAL (
          SELECT * FROM messages y WHERE y.conversation_id = x.conversation_id AND y.seq = x.seq LIMIT 1
        ) m
        WHERE x.conversation_id = me.conversation_id AND x.user_id = root.id AND x.thread_root_seq = root.seq
          AND x.seq > CASE root.seq WHEN 0 THEN me.read_seq ELSE COALESCE(thread.read_seq, 0) END
          AND x.seq >= me.visible_from_seq AND x.seq <= h.seq
          AND m.sender_id <> me.user_id AND m.deleted_at IS NULL AND ${sql.literal(notHiddenFrom("m"))}
        LIMIT ${unreadCap}
      ) unread
      WHERE root.seq >= 0
      LIMIT ${unreadCap}) mentioned`

  return { messages, mentions }
}
