import { hash, randomUUIDv7 } from "node:crypto"
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { type Conversation, type Kind, type Role, unreadCap } from "../domain/Conversation.ts"
import { ConversationId, UserId } from "../domain/Ids.ts"
import { Conflict, NotFound } from "../domain/Problem.ts"
import type { User } from "../domain/User.ts"
import { checkNewGroup, checkPage } from "./ConversationRules.ts"
import type { Conversations, Place } from "./Conversations.ts"
import { cursorOf } from "./Cursor.ts"
import { makeGroupCommit } from "./GroupCommit.ts"
import { type MessageRow, messageColumns, messageTables, toMessage } from "./LogReader.ts"
import { conversationSubject, encodeEphemeral, membershipChanged, PubSub, userSubject } from "./PubSub.ts"
import { Settings } from "./Settings.ts"
import { int8s, orUnavailable } from "./Sql.ts"

interface ConversationRow {
  readonly id: ConversationId
  readonly kind: Kind
  readonly title: string | null
  readonly avatarUrl: string | null
  readonly createdBy: UserId
  readonly createdAt: Date
  readonly seq: number
  readonly lastActivityAt: Date
  readonly lastSeq: number | null
  readonly memberCount: number
  readonly unreadCount: number
  readonly role: Role
  readonly joinedSeq: number
  readonly visibleFromSeq: number
  readonly readSeq: number
  readonly deliveredSeq: number
  readonly mutedUntil: Date | null
  readonly archived: boolean
  readonly pinned: boolean
  readonly notify: "all" | "mentions" | "none"
  readonly peerId: UserId | null
  readonly peerUsername: string
  readonly peerDisplayName: string
  readonly peerAvatarUrl: string | null
  readonly peerCreatedAt: Date
}

interface Mark {
  readonly conversationId: ConversationId
  readonly userId: UserId
  readonly seq: number
  readonly force: boolean
}

const listCursor = cursorOf(Schema.Struct({ at: Schema.Finite, id: ConversationId }))
const memberCursor = cursorOf(Schema.Struct({ joinedSeq: Schema.Int, id: UserId }))

const noConversation = new NotFound({ detail: "There is no such conversation" })

/** Conversations on PostgreSQL. Each read joins the reader's membership in its own statement. */
export const makeConversationsSql = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const pubsub = yield* PubSub
  const { limits } = yield* Settings

  const unreadOf = sql`SELECT count(*) FROM (
    SELECT FROM messages x WHERE x.conversation_id = me.conversation_id AND x.seq > me.read_seq
      AND x.seq >= me.visible_from_seq AND x.sender_id <> me.user_id AND x.deleted_at IS NULL
      AND x.thread_root_seq IS NULL LIMIT ${unreadCap}) unread`

  const mine = (userId: UserId) => sql`
    SELECT c.id, c.kind, c.title, c.avatar_url, c.created_by, c.created_at, h.seq, h.last_activity_at,
      (SELECT x.seq FROM messages x WHERE x.conversation_id = c.id AND x.seq >= me.visible_from_seq
        AND x.thread_root_seq IS NULL ORDER BY x.seq DESC LIMIT 1) AS last_seq,
      (SELECT count(*) FROM conversation_members x WHERE x.conversation_id = c.id AND x.left_seq IS NULL)
        AS member_count,
      (${unreadOf}) AS unread_count,
      me.role, me.joined_seq, me.visible_from_seq, me.read_seq, me.delivered_seq, me.muted_until, me.archived,
      me.pinned, me.notify, peer.id AS peer_id, peer.username AS peer_username,
      peer.display_name AS peer_display_name, peer.avatar_url AS peer_avatar_url, peer.created_at AS peer_created_at
    FROM conversation_members me
    JOIN conversations c ON c.id = me.conversation_id
    JOIN conversation_heads h ON h.conversation_id = me.conversation_id
    LEFT JOIN direct_conversations d ON d.conversation_id = c.id
    LEFT JOIN users peer ON peer.id = CASE WHEN d.user_low = me.user_id THEN d.user_high ELSE d.user_low END
    WHERE me.user_id = ${userId}::uuid AND me.left_seq IS NULL`

  const lastMessages = Effect.fnUntraced(function* (rows: ReadonlyArray<ConversationRow>) {
    const found = rows.filter((row) => row.lastSeq !== null)
    if (found.length === 0) return new Map<ConversationId, MessageRow>()
    const messages = yield* sql<MessageRow>`
      SELECT ${sql.literal(messageColumns)} FROM ${sql.literal(messageTables)}
      JOIN unnest(${found.map((row) => row.id)}::uuid[], ${found.map((row) => row.lastSeq)}::bigint[])
        AS last(conversation_id, seq) ON m.conversation_id = last.conversation_id AND m.seq = last.seq`
    return new Map(messages.map((message) => [message.conversationId, message]))
  })

  const peer = (row: ConversationRow): User | null =>
    row.peerId === null
      ? null
      : {
          id: row.peerId,
          username: row.peerUsername,
          displayName: row.peerDisplayName,
          avatarUrl: row.peerAvatarUrl,
          createdAt: row.peerCreatedAt.toISOString()
        }

  const toConversations = Effect.fnUntraced(function* (rows: ReadonlyArray<ConversationRow>) {
    const last = yield* lastMessages(rows)
    return rows.map((row): Conversation => {
      const lastMessage = last.get(row.id)
      return {
        id: row.id,
        kind: row.kind,
        title: row.title,
        avatarUrl: row.avatarUrl,
        createdBy: row.createdBy,
        createdAt: row.createdAt.toISOString(),
        seq: row.seq,
        lastActivityAt: row.lastActivityAt.toISOString(),
        lastMessage: lastMessage === undefined ? null : toMessage(lastMessage, row.visibleFromSeq),
        memberCount: row.memberCount,
        peer: peer(row),
        me: {
          role: row.role,
          joinedSeq: row.joinedSeq,
          visibleFromSeq: row.visibleFromSeq,
          readSeq: row.readSeq,
          deliveredSeq: row.deliveredSeq,
          unreadCount: row.unreadCount,
          mentionCount: 0,
          mutedUntil: row.mutedUntil?.toISOString() ?? null,
          archived: row.archived,
          pinned: row.pinned,
          notify: row.notify
        }
      }
    })
  })

  const getMany: Conversations["Service"]["getMany"] = Effect.fn("Conversations.getMany")(function* (userId, ids) {
    if (ids.length === 0) return []
    return yield* toConversations(yield* sql<ConversationRow>`${mine(userId)} AND c.id = ANY (${ids}::uuid[])`)
  }, orUnavailable)

  const get: Conversations["Service"]["get"] = Effect.fnUntraced(function* (userId, id) {
    const [conversation] = yield* getMany(userId, [id])
    return conversation ?? (yield* noConversation)
  })

  const list: Conversations["Service"]["list"] = Effect.fn("Conversations.list")(function* (userId, page) {
    yield* checkPage(page, limits.pageSize)
    const after = page.cursor === undefined ? undefined : yield* listCursor.decode(page.cursor)
    const below =
      after === undefined
        ? sql``
        : sql` AND (h.last_activity_at, c.id) < (${new Date(after.at)}::timestamptz, ${after.id}::uuid)`
    const rows = yield* sql<ConversationRow>`${mine(userId)}${below}
      ORDER BY h.last_activity_at DESC, c.id DESC LIMIT ${page.limit + 1}`
    const items = yield* toConversations(rows.slice(0, page.limit))
    const end = rows.length > page.limit ? rows[page.limit - 1] : undefined
    if (end === undefined) return { items }
    return { items, nextCursor: listCursor.encode({ at: end.lastActivityAt.getTime(), id: end.id }) }
  }, orUnavailable)

  const members: Conversations["Service"]["members"] = Effect.fn("Conversations.members")(function* (
    userId,
    conversationId,
    page
  ) {
    yield* checkPage(page, limits.pageSize)
    const after = page.cursor === undefined ? { joinedSeq: -1, id: null } : yield* memberCursor.decode(page.cursor)
    const rows = yield* sql<
      User & { createdAt: Date; role: Role; joinedAt: Date; joinedSeq: number; readSeq: number; deliveredSeq: number }
    >`
        SELECT u.id, u.username, u.display_name, u.avatar_url, u.created_at, m.role, m.joined_at, m.joined_seq,
          m.read_seq, m.delivered_seq
        FROM conversation_members me
        JOIN conversation_members m ON m.conversation_id = me.conversation_id AND m.left_seq IS NULL
        JOIN users u ON u.id = m.user_id
        WHERE me.conversation_id = ${conversationId}::uuid AND me.user_id = ${userId}::uuid AND me.left_seq IS NULL
          AND (m.joined_seq > ${after.joinedSeq}::bigint
            OR (m.joined_seq = ${after.joinedSeq}::bigint AND m.user_id > ${after.id}::uuid))
        ORDER BY m.joined_seq, m.user_id LIMIT ${page.limit + 1}`
    // A member sees himself on the first page, so no row there means that he is none.
    if (rows.length === 0) yield* get(userId, conversationId)
    const items = rows.slice(0, page.limit).map((row) => ({
      user: {
        id: row.id,
        username: row.username,
        displayName: row.displayName,
        avatarUrl: row.avatarUrl,
        createdAt: row.createdAt.toISOString()
      },
      role: row.role,
      joinedAt: row.joinedAt.toISOString(),
      readSeq: row.readSeq,
      deliveredSeq: row.deliveredSeq
    }))
    const end = rows.length > page.limit ? rows[page.limit - 1] : undefined
    if (end === undefined) return { items }
    return { items, nextCursor: memberCursor.encode({ joinedSeq: end.joinedSeq, id: end.id }) }
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

  const create: Conversations["Service"]["create"] = Effect.fn("Conversations.create")(function* (
    userId,
    conversation,
    idempotencyKey
  ) {
    const id = ConversationId.make(randomUUIDv7())
    const memberIds =
      conversation.kind === "dm" ? [userId, conversation.userId] : [...new Set([userId, ...conversation.memberIds])]
    if (conversation.kind === "group") yield* checkNewGroup(conversation, memberIds.length, limits)
    const [made] = yield* conversation.kind === "dm"
      ? sql<{ conversationId: ConversationId | null; created: boolean }>`
            SELECT * FROM create_direct(${id}::uuid, ${userId}::uuid, ${conversation.userId}::uuid)`
      : sql<{ conversationId: ConversationId | null; created: boolean }>`
            SELECT * FROM create_group(${id}::uuid, ${userId}::uuid, ${conversation.title}::text,
              ${conversation.avatarUrl ?? null}::text, ${memberIds}::uuid[], ${idempotencyKey ?? null}::text,
              ${hash("sha256", JSON.stringify(conversation), "buffer")}::bytea)`
    if (made === undefined) return yield* new NotFound({ detail: "There is no such user" })
    const conversationId = made.conversationId
    if (conversationId === null)
      return yield* new Conflict({
        code: "idempotency-key-reused",
        detail: "That Idempotency-Key stands for another request"
      })
    if (made.created) {
      const changed = [membershipChanged(conversationId)]
      yield* Effect.forEach(memberIds, (id) => pubsub.publish(userSubject(id), changed), { discard: true })
    }
    return { conversation: yield* get(userId, conversationId), created: made.created }
  }, orUnavailable)

  const marks = yield* makeGroupCommit<Mark, { readonly readSeq: number; readonly changed: boolean }, NotFound>({
    capacity: 20_000,
    maxBatch: 256,
    patienceMs: 10_000,
    startsBatch: (batch, next) =>
      batch.some((mark) => mark.conversationId === next.conversationId && mark.userId === next.userId),
    commit: (batch) =>
      sql<{ ord: number; readSeq: number; changed: boolean }>`
        SELECT * FROM mark_read(${batch.map(({ input }) => input.conversationId)}::uuid[],
          ${batch.map(({ input }) => input.userId)}::uuid[], ${int8s(batch.map(({ input }) => input.seq))}::bigint[],
          ${batch.map(({ input }) => input.force)}::boolean[])`.pipe(
        Effect.flatMap((rows) =>
          Effect.sync(() => {
            for (const row of rows) batch[row.ord - 1]?.answer(Effect.succeed(row))
            // The others are members of nothing; a second answer does not count.
            for (const pending of batch) pending.answer(Effect.fail(noConversation))
          })
        ),
        orUnavailable,
        Effect.catch((error) =>
          Effect.forEach(batch, ({ answer }) => Effect.sync(() => answer(Effect.fail(error))), { discard: true })
        )
      )
  })

  const markRead: Conversations["Service"]["markRead"] = Effect.fn("Conversations.markRead")(function* (
    userId,
    conversationId,
    { force = false, seq }
  ) {
    const { changed, readSeq } = yield* marks.submit({ conversationId, userId, seq, force })
    if (!changed) return
    yield* pubsub.publish(conversationSubject(conversationId), [
      encodeEphemeral({ event: "read.marked", conversationId, data: { userId, seq: readSeq } })
    ])
  })

  const unread: Conversations["Service"]["unread"] = Effect.fn("Conversations.unread")(function* (userId) {
    const [row] = yield* sql<{ unreadCount: number }>`
      SELECT COALESCE(sum((${unreadOf})), 0)::bigint AS unread_count
      FROM conversation_members me WHERE me.user_id = ${userId}::uuid AND me.left_seq IS NULL`
    return { unreadCount: row?.unreadCount ?? 0, mentionCount: 0 }
  }, orUnavailable)

  const typing: Conversations["Service"]["typing"] = Effect.fn("Conversations.typing")(function* (
    userId,
    conversationId,
    event
  ) {
    const rows = yield* sql`SELECT FROM conversation_members
        WHERE conversation_id = ${conversationId}::uuid AND user_id = ${userId}::uuid AND left_seq IS NULL`
    if (rows.length === 0) return yield* noConversation
    yield* pubsub.publish(conversationSubject(conversationId), [
      encodeEphemeral({ event, conversationId, data: { userId } }, userId)
    ])
  }, orUnavailable)

  return { create, get, getMany, list, markRead, members, places, typing, unread }
})
