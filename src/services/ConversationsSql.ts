import { hash, randomUUIDv7 } from "node:crypto"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { type Unread, unreadCap } from "../domain/Conversation.ts"
import { ConversationId, type UserId } from "../domain/Ids.ts"
import { everybody } from "../domain/Mentions.ts"
import {
  type ConversationRow,
  keyReused,
  listCursor,
  type MemberRow,
  memberCursor,
  noUser,
  pageOf,
  toConversation,
  toMember
} from "./ConversationRows.ts"
import { blocked, checkNewGroup } from "./ConversationRules.ts"
import type { Conversations, Place } from "./Conversations.ts"
import { noConversation } from "./LogReader.ts"
import { type MessageRow, messageColumns, messageTables, myColumns, notHiddenFrom } from "./MessageRows.ts"
import { checkLimit } from "./Paging.ts"
import { conversationSubject, encodeEphemeral, membershipChanged, PubSub, userSubject } from "./PubSub.ts"
import { makeReadMarkers } from "./ReadMarkers.ts"
import { Settings } from "./Settings.ts"
import { orUnavailable } from "./Sql.ts"

/** `lastSeq` is that of the last message that the member may see. */
interface Row extends ConversationRow {
  readonly lastSeq: number | null
}

/** What became of a creation; `known` when it was there already. */
type Made =
  | { readonly outcome: "made" | "known"; readonly conversationId: ConversationId }
  | { readonly outcome: "reused" }
  | { readonly outcome: "no-user" }
  | { readonly outcome: "blocked" }

/** Conversations on PostgreSQL. Each read joins the reader's membership in its own statement. */
export const makeConversationsSql = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const pubsub = yield* PubSub
  const { limits } = yield* Settings
  const markers = yield* makeReadMarkers

  const notHidden = sql.literal(notHiddenFrom("x"))
  const unreadOf = sql`SELECT count(*) FROM (
    SELECT FROM messages x WHERE x.conversation_id = me.conversation_id AND x.seq > me.read_seq
      AND x.seq >= me.visible_from_seq AND x.sender_id <> me.user_id AND x.deleted_at IS NULL AND ${notHidden}
      AND x.thread_root_seq IS NULL LIMIT ${unreadCap}) unread`

  /** The messages that mention me or everybody `where` my marker has not passed them. */
  const mentions = (root: string, where: string) => sql`
    SELECT FROM mentions x JOIN messages m ON m.conversation_id = x.conversation_id AND m.seq = x.seq
    WHERE x.conversation_id = me.conversation_id AND x.user_id IN (me.user_id, ${everybody}::uuid)
      AND x.thread_root_seq ${sql.literal(root)} AND x.seq >= me.visible_from_seq AND ${sql.literal(where)}
      AND m.sender_id <> me.user_id AND m.deleted_at IS NULL AND ${sql.literal(notHiddenFrom("m"))}`

  const mentionsOf = sql`SELECT count(*) FROM (
    ${mentions("= 0", "x.seq > me.read_seq")}
    UNION ALL
    ${mentions(
      "> 0",
      `NOT EXISTS (SELECT FROM thread_members t WHERE t.conversation_id = x.conversation_id
        AND t.root_seq = x.thread_root_seq AND t.user_id = me.user_id AND t.read_seq >= x.seq)`
    )}
    LIMIT ${unreadCap}) mentioned`

  const mine = (userId: UserId) => sql`
    SELECT c.id, c.kind, c.title, c.avatar_url, c.created_by, c.created_at, c.history_for_new_members,
      c.message_lifetime_seconds,
      h.seq, h.last_activity_at,
      (SELECT x.seq FROM messages x WHERE x.conversation_id = c.id AND x.seq >= me.visible_from_seq
        AND x.thread_root_seq IS NULL AND ${notHidden} ORDER BY x.seq DESC LIMIT 1) AS last_seq,
      (SELECT count(*) FROM conversation_members x WHERE x.conversation_id = c.id AND x.left_seq IS NULL)
        AS member_count,
      (${unreadOf}) AS unread_count, (${mentionsOf}) AS mention_count,
      me.role, me.joined_seq, me.visible_from_seq, me.read_seq,
      GREATEST(me.delivered_seq, me.read_seq) AS delivered_seq, me.muted_until, me.archived, me.pinned, me.notify, peer.id AS peer_id, peer.username AS peer_username,
      peer.display_name AS peer_display_name, peer.avatar_url AS peer_avatar_url, peer.created_at AS peer_created_at
    FROM conversation_members me
    JOIN conversations c ON c.id = me.conversation_id
    JOIN conversation_heads h ON h.conversation_id = me.conversation_id
    LEFT JOIN direct_conversations d ON d.conversation_id = c.id
    LEFT JOIN users peer ON peer.id = CASE WHEN d.user_low = me.user_id THEN d.user_high ELSE d.user_low END
    WHERE me.user_id = ${userId}::uuid AND me.left_seq IS NULL`

  const toConversations = Effect.fnUntraced(function* (userId: UserId, rows: ReadonlyArray<Row>) {
    const found = rows.filter((row) => row.lastSeq !== null)
    if (found.length === 0) return rows.map((row) => toConversation(row, undefined))
    const messages = yield* sql<MessageRow>`
      SELECT ${sql.literal(messageColumns)}, ${sql.literal(myColumns)} FROM ${sql.literal(messageTables)}
      CROSS JOIN (SELECT ${userId}::uuid AS user_id) me
      JOIN unnest(${found.map((row) => row.id)}::uuid[], ${found.map((row) => row.lastSeq)}::bigint[])
        AS last(conversation_id, seq) ON m.conversation_id = last.conversation_id AND m.seq = last.seq`
    const last = new Map(messages.map((message) => [message.conversationId, message]))
    return rows.map((row) => toConversation(row, last.get(row.id)))
  })

  const getMany: Conversations["Service"]["getMany"] = Effect.fn("Conversations.getMany")(function* (userId, ids) {
    if (ids.length === 0) return []
    return yield* toConversations(userId, yield* sql<Row>`${mine(userId)} AND c.id = ANY (${ids}::uuid[])`)
  }, orUnavailable)

  const get: Conversations["Service"]["get"] = Effect.fnUntraced(function* (userId, id) {
    const [conversation] = yield* getMany(userId, [id])
    return conversation ?? (yield* noConversation)
  })

  const list: Conversations["Service"]["list"] = Effect.fn("Conversations.list")(function* (userId, page) {
    yield* checkLimit(page, limits.pageSize)
    const after = page.cursor === undefined ? undefined : yield* listCursor.decode(page.cursor)
    const below =
      after === undefined
        ? sql``
        : sql` AND (h.last_activity_at, c.id) < (${new Date(after.at)}::timestamptz, ${after.id}::uuid)`
    const rows = yield* sql<Row>`${mine(userId)}${below}
      ORDER BY h.last_activity_at DESC, c.id DESC LIMIT ${page.limit + 1}`
    return pageOf(rows, page.limit, yield* toConversations(userId, rows.slice(0, page.limit)), listCursor.at)
  }, orUnavailable)

  const members: Conversations["Service"]["members"] = Effect.fn("Conversations.members")(function* (
    userId,
    conversationId,
    page
  ) {
    yield* checkLimit(page, limits.pageSize)
    const after = page.cursor === undefined ? { joinedSeq: -1, id: null } : yield* memberCursor.decode(page.cursor)
    const rows = yield* sql<MemberRow>`
        SELECT u.id, u.username, u.display_name, u.avatar_url, u.created_at, m.role, m.joined_at, m.joined_seq,
          m.read_seq, GREATEST(m.delivered_seq, m.read_seq) AS delivered_seq
        FROM conversation_members me
        JOIN conversation_members m ON m.conversation_id = me.conversation_id AND m.left_seq IS NULL
        JOIN users u ON u.id = m.user_id
        WHERE me.conversation_id = ${conversationId}::uuid AND me.user_id = ${userId}::uuid AND me.left_seq IS NULL
          AND (m.joined_seq > ${after.joinedSeq}::bigint
            OR (m.joined_seq = ${after.joinedSeq}::bigint AND m.user_id > ${after.id}::uuid))
        ORDER BY m.joined_seq, m.user_id LIMIT ${page.limit + 1}`
    // A member sees himself on the first page, so no row there means that he is none.
    if (rows.length === 0) yield* get(userId, conversationId)
    return pageOf(rows, page.limit, rows.slice(0, page.limit).map(toMember), memberCursor.at)
  }, orUnavailable)

  const places: Conversations["Service"]["places"] = Effect.fn("Conversations.places")(function* (userId) {
    const rows = yield* sql<{ head: number } & (Place | { conversationId: null })>`
      SELECT COALESCE(u.seq, 0) AS head, me.conversation_id, me.visible_from_seq, me.user_seq, me.seq,
        me.last_activity_at
      FROM (SELECT ${userId}::uuid AS id) i
      LEFT JOIN user_heads u ON u.user_id = i.id
      LEFT JOIN (
        SELECT m.*, h.seq, h.last_activity_at FROM conversation_members m
        JOIN conversation_heads h ON h.conversation_id = m.conversation_id WHERE m.left_seq IS NULL
      ) me ON me.user_id = i.id`
    return {
      userSeq: rows[0]?.head ?? 0,
      places: rows.flatMap((row) => (row.conversationId === null ? [] : [row]))
    }
  }, orUnavailable)

  const userHeads: Conversations["Service"]["userHeads"] = Effect.fn("Conversations.userHeads")(function* (userIds) {
    if (userIds.length === 0) return new Map()
    const rows = yield* sql<{ userId: UserId; seq: number }>`
      SELECT user_id, seq FROM user_heads WHERE user_id = ANY (${userIds}::uuid[])`
    return new Map(rows.map((row) => [row.userId, row.seq]))
  }, orUnavailable)

  const create: Conversations["Service"]["create"] = Effect.fn("Conversations.create")(function* (
    userId,
    conversation,
    idempotencyKey
  ) {
    const id = ConversationId.make(randomUUIDv7())
    const memberIds = [
      ...new Set([userId, ...(conversation.kind === "dm" ? [conversation.userId] : conversation.memberIds)])
    ]
    if (conversation.kind === "group") yield* checkNewGroup(conversation, memberIds.length, limits)
    const [made] = yield* conversation.kind === "dm"
      ? sql<Made>`SELECT conversation_id, CASE WHEN created THEN 'made' ELSE 'known' END AS outcome
          FROM create_direct(${id}::uuid, ${userId}::uuid, ${conversation.userId}::uuid)`
      : sql<Made>`SELECT * FROM make_group(${id}::uuid, ${userId}::uuid, ${conversation.title}::text,
              ${conversation.avatarUrl ?? null}::text, ${memberIds}::uuid[], ${idempotencyKey ?? null}::text,
              ${hash("sha256", JSON.stringify(conversation), "buffer")}::bytea)`
    if (made === undefined || made.outcome === "no-user") return yield* noUser
    if (made.outcome === "blocked") return yield* blocked
    if (made.outcome === "reused") return yield* keyReused
    const { conversationId } = made
    const created = made.outcome === "made"
    if (created) {
      const changed = [membershipChanged(conversationId)]
      yield* Effect.forEach(memberIds, (id) => pubsub.publish(userSubject(id), changed), { discard: true })
    }
    return { conversation: yield* get(userId, conversationId), created }
  }, orUnavailable)

  const unread: Conversations["Service"]["unread"] = Effect.fn("Conversations.unread")(function* (userId) {
    const [row] = yield* sql<Unread>`
      SELECT COALESCE(sum((${unreadOf})), 0)::bigint AS unread_count,
        COALESCE(sum((${mentionsOf})), 0)::bigint AS mention_count
      FROM conversation_members me WHERE me.user_id = ${userId}::uuid AND me.left_seq IS NULL`
    return row ?? { unreadCount: 0, mentionCount: 0 }
  }, orUnavailable)

  const typing: Conversations["Service"]["typing"] = Effect.fn("Conversations.typing")(function* (
    userId,
    conversationId,
    event
  ) {
    const [me] = yield* sql<{ blocked: boolean; seq: number }>`SELECT m.blocked, h.seq FROM conversation_members m
        JOIN conversation_heads h ON h.conversation_id = m.conversation_id
        WHERE m.conversation_id = ${conversationId}::uuid AND m.user_id = ${userId}::uuid AND m.left_seq IS NULL`
    if (me === undefined) return yield* noConversation
    if (me.blocked) return
    yield* pubsub.publish(conversationSubject(conversationId), [
      encodeEphemeral({ event, conversationId, data: { userId } }, { except: userId, refers: me.seq })
    ])
  }, orUnavailable)

  return { ...markers, create, get, getMany, list, members, places, typing, unread, userHeads }
})
