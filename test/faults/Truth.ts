import { Effect, Schema } from "effect"
import type { Stored } from "../support/History.ts"
import type { Cluster } from "./Cluster.ts"

const Seq = Schema.Int
const Rows = Schema.Array(
  Schema.Struct({
    id: Schema.String,
    head: Seq,
    messages: Schema.Array(
      Schema.Struct({
        seq: Seq,
        messageId: Schema.String,
        senderId: Schema.String,
        clientMessageId: Schema.String,
        body: Schema.String,
        deleted: Schema.Boolean
      })
    ),
    events: Schema.Array(Schema.Struct({ seq: Seq, event: Schema.String })),
    members: Schema.Array(
      Schema.Struct({
        userId: Schema.String,
        visibleFromSeq: Seq,
        leftSeq: Schema.NullOr(Seq),
        readSeq: Seq
      })
    )
  })
)

const conversations = `
  SELECT h.conversation_id AS id, h.seq::int AS head,
    (SELECT COALESCE(json_agg(json_build_object('seq', m.seq, 'messageId', m.id, 'senderId', m.sender_id,
        'clientMessageId', m.client_message_id, 'body', m.body, 'deleted', m.deleted_at IS NOT NULL)), '[]')
      FROM messages m WHERE m.conversation_id = h.conversation_id) AS messages,
    (SELECT COALESCE(json_agg(json_build_object('seq', e.seq, 'event', e.event)), '[]')
      FROM conversation_events e WHERE e.conversation_id = h.conversation_id) AS events,
    (SELECT json_agg(json_build_object('userId', m.user_id, 'visibleFromSeq', m.visible_from_seq,
        'leftSeq', m.left_seq, 'readSeq', m.read_seq))
      FROM conversation_members m WHERE m.conversation_id = h.conversation_id) AS members
  FROM conversation_heads h`

/** All conversations with their content, as they are in the database. */
export const readConversations = (cluster: Cluster) =>
  Effect.map(cluster.query(conversations), (rows): ReadonlyArray<Stored> => Schema.decodeUnknownSync(Rows)(rows))

const Heads = Schema.Array(Schema.Struct({ userId: Schema.String, id: Schema.String, head: Seq }))

/** The head of every conversation of every user. */
export const readHeads = (cluster: Cluster) =>
  Effect.map(
    cluster.query(`
      SELECT m.user_id AS "userId", h.conversation_id AS id, h.seq::int AS head
      FROM conversation_heads h JOIN conversation_members m USING (conversation_id) WHERE m.left_seq IS NULL`),
    (rows) => Schema.decodeUnknownSync(Heads)(rows)
  )
