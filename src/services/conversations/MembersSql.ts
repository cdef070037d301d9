import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { beforeEveryId, type ConversationId, type UserId } from "../../domain/Ids.ts"
import {
  blocked,
  contactsOnly,
  groupFull,
  lastOwner,
  noConversation,
  noMember,
  notForGuests,
  noUser
} from "../../domain/Refusals.ts"
import { makeMembershipSignals } from "../bus/MembershipSignals.ts"
import { type Changed, makeChanges } from "../log/Changes.ts"
import { pageOf } from "../platform/Paging.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { type MemberRow, memberColumns, memberCursor, toMember } from "./ConversationRows.ts"
import { groupProblems } from "./ConversationRules.ts"
import { FirstContacts } from "./FirstContacts.ts"
import { MemberStorage } from "./MemberStorage.ts"
import { Members } from "./Members.ts"

type Storage = MemberStorage["Service"]

const joining = {
  ...groupProblems,
  "no-user": noUser,
  blocked,
  "contacts-only": contactsOnly,
  guest: notForGuests,
  "group-full": groupFull
}
const leaving = { ...groupProblems, "no-member": noMember }
const changingRole = { ...leaving, "last-owner": lastOwner }

const makeChangesOfMembers = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { change } = yield* makeChanges
  const signal = yield* makeMembershipSignals

  const add: Storage["add"] = ({ conversationId, userId: actorId }, userIds, limit) =>
    change(
      conversationId,
      sql<Changed & { userIds: ReadonlyArray<UserId> }>`SELECT * FROM add_to_group(${conversationId}::uuid,
        ${actorId}::uuid, ${userIds}::uuid[], ${limit}::int)`.pipe(
        Effect.tap(([row]) => signal(conversationId, row?.userIds ?? []))
      ),
      joining
    ).pipe(Effect.map((row) => row.userIds))

  const remove: Storage["remove"] = ({ conversationId, userId: actorId }, userId) =>
    change(
      conversationId,
      sql<Changed>`SELECT * FROM remove_member(${conversationId}::uuid, ${actorId}::uuid, ${userId}::uuid)`.pipe(
        Effect.tap(([row]) => (row?.outcome === "changed" ? signal(conversationId, [userId]) : Effect.void))
      ),
      leaving
    ).pipe(Effect.map((row) => row.outcome === "changed"))

  const changeRole: Storage["changeRole"] = ({ conversationId, userId: actorId }, userId, role) =>
    change(
      conversationId,
      sql<Changed>`SELECT * FROM change_role(${conversationId}::uuid, ${actorId}::uuid, ${userId}::uuid,
        ${role}::text)`,
      changingRole
    ).pipe(Effect.map((row) => row.outcome === "changed"))

  return { add, remove, changeRole }
})

const makeReads = Effect.map(SqlClient.SqlClient, (sql) => {
  const columns = sql.literal(memberColumns)

  const list: Storage["list"] = Effect.fnUntraced(function* ({ conversationId, userId }, page) {
    const after =
      page.cursor === undefined ? { joinedSeq: -1, id: beforeEveryId } : yield* memberCursor.decode(page.cursor)
    const rows = yield* sql<MemberRow | { id: null }>`
      SELECT member.* FROM conversation_members me LEFT JOIN LATERAL (
        SELECT ${columns} FROM (
          SELECT * FROM conversation_members x
          WHERE x.conversation_id = me.conversation_id AND x.left_seq IS NULL AND x.joined_seq >= 0
            AND (x.joined_seq, x.user_id) > (${after.joinedSeq}::bigint, ${after.id}::uuid)
          ORDER BY x.joined_seq, x.user_id LIMIT ${page.limit + 1}
        ) m CROSS JOIN LATERAL (SELECT * FROM users x WHERE x.id = m.user_id LIMIT 1) u
      ) member ON true
      WHERE me.conversation_id = ${conversationId}::uuid AND me.user_id = ${userId}::uuid AND me.left_seq IS NULL
      ORDER BY member.joined_seq, member.id`
    if (rows.length === 0) return yield* noConversation
    const found = rows.flatMap((row) => (row.id === null ? [] : [row]))
    return pageOf(found, page.limit, found.slice(0, page.limit).map(toMember), memberCursor.at)
  }, orUnavailable)

  const find: Storage["find"] = Effect.fn("Members.find")(function* (conversationId, userIds) {
    const rows = yield* sql<MemberRow>`
      SELECT ${columns} FROM conversation_members m JOIN users u ON u.id = m.user_id
      WHERE m.conversation_id = ${conversationId}::uuid AND m.user_id = ANY (${userIds}::uuid[])
        AND m.left_seq IS NULL`
    return rows.map(toMember)
  }, orUnavailable)

  const groupsOf: Storage["groupsOf"] = Effect.fn("Members.groupsOf")(function* (userId) {
    const rows = yield* sql<{ id: ConversationId }>`
      SELECT c.id FROM conversation_members m JOIN conversations c ON c.id = m.conversation_id AND c.kind = 'group'
      WHERE m.user_id = ${userId}::uuid AND m.left_seq IS NULL`
    return rows.map(({ id }) => id)
  }, orUnavailable)

  return { find, groupsOf, list }
})

const storage = Layer.effect(
  MemberStorage,
  Effect.gen(function* () {
    return MemberStorage.of({ ...(yield* makeReads), ...(yield* makeChangesOfMembers) })
  })
)

/** Members on PostgreSQL. */
export const layer = Members.layerNoDeps.pipe(Layer.provide([storage, FirstContacts.layer]))
