import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { namesIn } from "../../domain/Mentions.ts"
import type { HiddenChange } from "../../domain/Sync.ts"
import { encodeEphemeral, PubSub } from "../bus/PubSub.ts"
import { userSubject } from "../bus/Subjects.ts"
import { makeDeviceSync } from "../conversations/DeviceSync.ts"
import { type Changed, makeChanges } from "../log/Changes.ts"
import { Log } from "../log/Log.ts"
import { checkLimit, pageOf } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { makeForward } from "./Forwards.ts"
import { MessageChanges } from "./MessageChanges.ts"
import {
  editProblems,
  isBlank,
  messageProblems,
  type RevisionRow,
  revisionCursor,
  tooLong,
  toRevision
} from "./MessageRules.ts"

const { forbidden, "no-message": noMessage } = messageProblems

// The LIMITs keep both look-ups at one index probe for each hidden message, whatever the planner knows of the tables.
const makeHiddenAfter =
  (sql: SqlClient.SqlClient): MessageChanges["Service"]["hiddenAfter"] =>
  (userId, userSeq) =>
    orUnavailable(sql<HiddenChange>`
    SELECT h.conversation_id, m.id AS message_id, h.message_seq FROM hidden_messages h
    CROSS JOIN LATERAL (
      SELECT FROM conversation_members x
      WHERE x.conversation_id = h.conversation_id AND x.user_id = h.user_id AND x.left_seq IS NULL
        AND x.visible_from_seq <= h.message_seq LIMIT 1
    ) me
    CROSS JOIN LATERAL (
      SELECT x.id FROM messages x WHERE x.conversation_id = h.conversation_id AND x.seq = h.message_seq LIMIT 1
    ) m
    WHERE h.user_id = ${userId}::uuid AND h.user_seq > ${userSeq}::bigint ORDER BY h.user_seq`)

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const log = yield* Log
  const pubsub = yield* PubSub
  const { limits } = yield* Settings
  const { change } = yield* makeChanges
  const notifyDevices = yield* makeDeviceSync

  const edit: MessageChanges["Service"]["edit"] = Effect.fn("MessageChanges.edit")(function* (
    userId,
    conversationId,
    messageId,
    { body }
  ) {
    const wrong = tooLong(body, limits)
    if (wrong !== undefined) return yield* wrong
    yield* change(
      conversationId,
      sql<Changed>`SELECT * FROM edit_body(${conversationId}::uuid, ${userId}::uuid, ${messageId}::uuid,
        ${body}::text, ${isBlank(body)}::boolean, ${JSON.stringify(namesIn(body))}::json, ${limits.editWindow}::bigint)`,
      editProblems
    )
    return yield* log.message(userId, conversationId, messageId)
  })

  const deleteMessage: MessageChanges["Service"]["delete"] = (userId, conversationId, messageId) =>
    Effect.asVoid(
      change(
        conversationId,
        sql<Changed>`SELECT * FROM delete_message(${conversationId}::uuid, ${userId}::uuid, ${messageId}::uuid)`,
        { "no-message": noMessage, forbidden }
      )
    )

  const hide: MessageChanges["Service"]["hide"] = Effect.fn("MessageChanges.hide")(
    function* (userId, conversationId, messageId) {
      const { outcome } = yield* change(
        conversationId,
        sql<Changed>`SELECT * FROM hide_message(${conversationId}::uuid, ${userId}::uuid, ${messageId}::uuid)`,
        { "no-message": noMessage }
      )
      if (outcome !== "changed") return
      const { seq: messageSeq } = yield* log.message(userId, conversationId, messageId)
      yield* pubsub.publish(userSubject(userId), [
        encodeEphemeral({ event: "message.hidden", conversationId, data: { messageId, messageSeq } })
      ])
      yield* notifyDevices(userId, conversationId)
    }
  )

  const revisions: MessageChanges["Service"]["revisions"] = Effect.fn("MessageChanges.revisions")(function* (
    userId,
    conversationId,
    messageId,
    page
  ) {
    yield* checkLimit(page, limits.pageSize)
    const before = page.cursor === undefined ? null : (yield* revisionCursor.decode(page.cursor)).revision
    const { deletedAt, seq } = yield* log.message(userId, conversationId, messageId)
    if (deletedAt !== null) return { items: [] }
    const rows = yield* sql<RevisionRow>`
      SELECT revision, body, COALESCE(edited_at, created_at) AS created_at FROM messages
      WHERE conversation_id = ${conversationId}::uuid AND seq = ${seq} AND deleted_at IS NULL
        AND (${before}::int IS NULL OR revision < ${before}::int)
      UNION ALL
      SELECT revision, body, created_at FROM message_revisions
      WHERE conversation_id = ${conversationId}::uuid AND message_seq = ${seq}
        AND (${before}::int IS NULL OR revision < ${before}::int)
      ORDER BY revision DESC LIMIT ${page.limit + 1}`
    return pageOf(rows, page.limit, rows.slice(0, page.limit).map(toRevision), revisionCursor.encode)
  }, orUnavailable)

  const hiddenAfter = makeHiddenAfter(sql)
  return MessageChanges.of({ delete: deleteMessage, edit, forward: yield* makeForward, hiddenAfter, hide, revisions })
})

/** Changes of messages on PostgreSQL: migrations/functions/message_changes.sql has the rules. */
export const layer = Layer.effect(MessageChanges, make)
