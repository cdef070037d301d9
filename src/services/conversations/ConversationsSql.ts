import { hash, randomUUIDv7 } from "node:crypto"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { ConversationId, type UserId } from "../../domain/Ids.ts"
import {
  blocked,
  contactsOnly,
  idempotencyKeyReused,
  noConversation,
  notForGuests,
  noUser
} from "../../domain/Refusals.ts"
import { makeMembershipSignals } from "../bus/MembershipSignals.ts"
import { refuse } from "../log/Changes.ts"
import { type MessageRow, messageColumns, myColumns, notHiddenFrom, repliedTo } from "../log/MessageRows.ts"
import { lastInWindows } from "../log/Windows.ts"
import { checkLimit, pageOf } from "../platform/Paging.ts"
import { Settings, type SettingsShape } from "../platform/Settings.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { type ConversationRow, listCursor, toConversation } from "./ConversationRows.ts"
import { Conversations, type MembershipState, type Standing } from "./Conversations.ts"
import { counted, FirstContacts } from "./FirstContacts.ts"
import { unreadCounts } from "./UnreadCounts.ts"

type Service = Conversations["Service"]

/** `lastSeq` is the seq of the last message that the member may see. */
interface Row extends ConversationRow {
  readonly lastSeq: number | null
}

/** The outcome of a creation: `known` and `shown` when the conversation existed. */
interface Created {
  readonly outcome: "made" | "known" | "shown" | "reused" | "no-user" | "blocked" | "contacts-only" | "guest"
  readonly conversationId: ConversationId | null
}

const refusals = {
  "no-user": noUser,
  blocked,
  "contacts-only": contactsOnly,
  guest: notForGuests,
  reused: idempotencyKeyReused
}

/** Reads of conversations as their members see them. */
const makeViews = (sql: SqlClient.SqlClient, limits: SettingsShape["limits"]) => {
  const unread = unreadCounts(sql)
  const last = lastInWindows(sql, { from: "me.visible_from_seq", through: "h.seq", shown: notHiddenFrom("m") })

  /** The rows of the conversations whose ids are the column `id` of `wanted`, each by index lookups of its own. */
  const conversationsOf = (userId: UserId, wanted: ReturnType<typeof sql.literal>) => sql`
    SELECT c.id, c.kind, c.title, c.avatar_url, c.created_by, c.created_at, c.history_for_new_members,
      c.message_lifetime_seconds, h.seq, h.last_activity_at,
      (${last}) AS last_seq,
      (SELECT count(*) FROM conversation_members x WHERE x.conversation_id = c.id AND x.left_seq IS NULL)
        AS member_count,
      (${unread.messages}) AS unread_count, (${unread.mentions}) AS mention_count,
      me.role, me.joined_seq, me.visible_from_seq, me.read_seq,
      GREATEST(me.delivered_seq, me.read_seq) AS delivered_seq, me.muted_until, me.archived, me.pinned, me.notify,
      peer.id AS peer_id, peer.username AS peer_username, peer.display_name AS peer_display_name,
      peer.avatar_url AS peer_avatar_url, peer.created_at AS peer_created_at,
      peer.kind AS peer_kind
    FROM ${wanted}
    CROSS JOIN LATERAL (
      SELECT * FROM conversation_members x WHERE x.conversation_id = wanted.id AND x.user_id = ${userId}::uuid
        AND x.left_seq IS NULL LIMIT 1
    ) me
    CROSS JOIN LATERAL (SELECT * FROM conversations x WHERE x.id = wanted.id LIMIT 1) c
    CROSS JOIN LATERAL (SELECT * FROM conversation_heads x WHERE x.conversation_id = wanted.id LIMIT 1) h
    LEFT JOIN LATERAL (
      SELECT * FROM direct_conversations x WHERE c.kind = 'dm' AND x.conversation_id = wanted.id LIMIT 1
    ) d ON true
    LEFT JOIN LATERAL (
      SELECT * FROM users x
      WHERE x.id = CASE WHEN d.user_low = me.user_id THEN d.user_high ELSE d.user_low END LIMIT 1
    ) peer ON true`

  const toConversations = Effect.fnUntraced(function* (userId: UserId, rows: ReadonlyArray<Row>) {
    const found = rows.filter((row) => row.lastSeq !== null)
    if (found.length === 0) return rows.map((row) => toConversation(row, undefined))
    const messages = yield* sql<MessageRow>`
      SELECT ${sql.literal(messageColumns)}, ${sql.literal(myColumns)}
      FROM unnest(${found.map((row) => row.id)}::uuid[], ${found.map((row) => row.lastSeq)}::bigint[])
        AS last(conversation_id, seq)
      CROSS JOIN (SELECT ${userId}::uuid AS user_id) me
      CROSS JOIN LATERAL (
        SELECT * FROM messages x WHERE x.conversation_id = last.conversation_id AND x.seq = last.seq LIMIT 1
      ) m ${sql.literal(repliedTo)}`
    const last = new Map(messages.map((message) => [message.conversationId, message]))
    return rows.map((row) => toConversation(row, last.get(row.id)))
  })

  const getMany: Service["getMany"] = Effect.fn("Conversations.getMany")(function* (userId, ids) {
    if (ids.length === 0) return []
    const wanted = sql`(SELECT DISTINCT id FROM unnest(${ids}::uuid[]) AS id) wanted`
    return yield* toConversations(userId, yield* sql<Row>`${conversationsOf(userId, wanted)}`)
  }, orUnavailable)

  const get: Service["get"] = Effect.fnUntraced(function* (userId, id) {
    const [conversation] = yield* getMany(userId, [id])
    return conversation ?? (yield* noConversation)
  })

  const list: Service["list"] = Effect.fn("Conversations.list")(function* (userId, page) {
    yield* checkLimit(page, limits.pageSize)
    const after = page.cursor === undefined ? undefined : yield* listCursor.decode(page.cursor)
    const below =
      after === undefined
        ? sql``
        : sql` AND (h.last_activity_at, h.conversation_id) < (${new Date(after.at)}::timestamptz, ${after.id}::uuid)`
    const wanted = sql`(
      SELECT h.conversation_id AS id FROM conversation_members m
      JOIN conversation_heads h ON h.conversation_id = m.conversation_id
      WHERE m.user_id = ${userId}::uuid AND m.left_seq IS NULL AND m.shown${below}
      ORDER BY h.last_activity_at DESC, h.conversation_id DESC LIMIT ${page.limit + 1}
    ) wanted`
    const rows = yield* sql<Row>`${conversationsOf(userId, wanted)} ORDER BY h.last_activity_at DESC, c.id DESC`
    return pageOf(rows, page.limit, yield* toConversations(userId, rows.slice(0, page.limit)), listCursor.at)
  }, orUnavailable)

  return { get, getMany, list }
}

/** Reads of memberships, for the rules of other services and for the delivery of events. */
const makeMemberships = (sql: SqlClient.SqlClient) => {
  const standing: Service["standing"] = Effect.fn("Conversations.standing")(function* (userId, conversationId) {
    const [row] = yield* sql<Standing>`
      SELECT c.kind, m.role, m.blocked, h.seq AS head FROM conversation_members m
      JOIN conversations c ON c.id = m.conversation_id
      JOIN conversation_heads h ON h.conversation_id = m.conversation_id
      WHERE m.conversation_id = ${conversationId}::uuid AND m.user_id = ${userId}::uuid AND m.left_seq IS NULL`
    return row ?? (yield* noConversation)
  }, orUnavailable)

  const memberships: Service["memberships"] = Effect.fn("Conversations.memberships")(function* (userId) {
    const rows = yield* sql<{ head: number } & (MembershipState | { conversationId: null })>`
      SELECT COALESCE(u.seq, 0) AS head, me.conversation_id, me.visible_from_seq, me.user_seq, me.seq,
        me.last_activity_at, me.shown
      FROM (SELECT ${userId}::uuid AS id) i
      LEFT JOIN user_heads u ON u.user_id = i.id
      LEFT JOIN (
        SELECT m.*, h.seq, h.last_activity_at FROM conversation_members m
        JOIN conversation_heads h ON h.conversation_id = m.conversation_id WHERE m.left_seq IS NULL
      ) me ON me.user_id = i.id`
    return {
      userSeq: rows[0]?.head ?? 0,
      memberships: rows.flatMap((row) => (row.conversationId === null ? [] : [row]))
    }
  }, orUnavailable)

  const userHeads: Service["userHeads"] = Effect.fn("Conversations.userHeads")(function* (userIds) {
    if (userIds.length === 0) return new Map()
    const rows = yield* sql<{ userId: UserId; seq: number }>`
      SELECT user_id, seq FROM user_heads WHERE user_id = ANY (${userIds}::uuid[])`
    return new Map(rows.map((row) => [row.userId, row.seq]))
  }, orUnavailable)

  return { memberships, standing, userHeads }
}

const makeCreate = Effect.fnUntraced(function* (get: Service["get"]) {
  const sql = yield* SqlClient.SqlClient
  const signal = yield* makeMembershipSignals

  const isKnown = Effect.fn("Conversations.isKnown")(function* (...request: Parameters<Service["create"]>) {
    const [userId, conversation, key] = request
    if (conversation.kind === "group" && key === undefined) return false
    const rows = yield* conversation.kind === "dm"
      ? sql`SELECT FROM direct_conversations d
          WHERE d.user_low = LEAST(${userId}::uuid, ${conversation.userId}::uuid)
            AND d.user_high = GREATEST(${userId}::uuid, ${conversation.userId}::uuid)`
      : sql`SELECT FROM idempotency_keys k WHERE k.user_id = ${userId}::uuid AND k.key = ${key}::text
          AND k.created_at >= clock_timestamp() - idempotency_window()`
    return rows.length > 0
  }, orUnavailable)

  const create: Service["create"] = Effect.fnUntraced(function* (userId, conversation, idempotencyKey) {
    const id = ConversationId.make(randomUUIDv7())
    const memberIds = [
      ...new Set([userId, ...(conversation.kind === "dm" ? [conversation.userId] : conversation.memberIds)])
    ]
    const [row] = yield* conversation.kind === "dm"
      ? sql<Created>`SELECT * FROM open_direct(${id}::uuid, ${userId}::uuid, ${conversation.userId}::uuid)`
      : sql<Created>`SELECT * FROM make_group(${id}::uuid, ${userId}::uuid, ${conversation.title}::text,
              ${conversation.avatarUrl ?? null}::text, ${memberIds}::uuid[], ${idempotencyKey ?? null}::text,
              ${hash("sha256", JSON.stringify(conversation), "buffer")}::bytea)`
    yield* refuse(row?.outcome, refusals)
    const conversationId = row?.conversationId ?? (yield* noUser)
    const created = row?.outcome === "made"
    // A DM shows to the other user with its first message.
    const seenBy = conversation.kind === "dm" ? [userId] : memberIds
    if (created || row?.outcome === "shown") yield* signal(conversationId, seenBy)
    return { conversation: yield* get(userId, conversationId), created }
  }, orUnavailable)
  return { create, isKnown }
})

/** Conversations on PostgreSQL. Each read joins the reader's membership in its own statement. */
export const layer = Layer.effect(
  Conversations,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const views = makeViews(sql, (yield* Settings).limits)
    const { create, isKnown } = yield* makeCreate(views.get)
    return yield* counted({ ...views, ...makeMemberships(sql), create }, isKnown)
  })
).pipe(Layer.provide(FirstContacts.layer))
