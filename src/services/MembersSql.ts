import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { Kind, Role } from "../domain/Conversation.ts"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import { type Changed, makeChanges } from "./Changes.ts"
import { type MemberRow, noUser, toMember } from "./ConversationRows.ts"
import { blocked } from "./ConversationRules.ts"
import { groupFull, groupProblems, lastOwner, noMember } from "./GroupRules.ts"
import { noConversation } from "./LogReader.ts"
import type { MemberStorage } from "./MemberStorage.ts"
import { makeMembershipSignals } from "./MembershipSignals.ts"
import { orUnavailable } from "./Sql.ts"

const joining = { ...groupProblems, "no-user": noUser, blocked, "group-full": groupFull }
const leaving = { ...groupProblems, "no-member": noMember }

/** On PostgreSQL: the functions of migration 0016. */
export const makeSqlMembers = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { change } = yield* makeChanges
  const tell = yield* makeMembershipSignals

  const storage: MemberStorage = {
    standing: Effect.fn("Members.standing")(function* ({ conversationId, userId }) {
      const [row] = yield* sql<{ kind: Kind; role: Role }>`
        SELECT c.kind, m.role FROM conversation_members m JOIN conversations c ON c.id = m.conversation_id
        WHERE m.conversation_id = ${conversationId}::uuid AND m.user_id = ${userId}::uuid AND m.left_seq IS NULL`
      return row ?? (yield* noConversation)
    }, orUnavailable),
    add: ({ conversationId, userId }, userIds, limit) =>
      change(
        conversationId,
        sql<Changed & { userIds: ReadonlyArray<UserId> }>`SELECT * FROM add_members(${conversationId}::uuid,
          ${userId}::uuid, ${userIds}::uuid[], ${limit}::int)`.pipe(
          Effect.tap(([row]) => tell(conversationId, row?.userIds ?? []))
        ),
        joining
      ).pipe(Effect.map((row) => row.userIds)),
    remove: ({ conversationId, userId: actorId }, userId) =>
      change(
        conversationId,
        sql<Changed>`SELECT * FROM remove_member(${conversationId}::uuid, ${actorId}::uuid, ${userId}::uuid)`.pipe(
          Effect.tap(([row]) => (row?.outcome === "changed" ? tell(conversationId, [userId]) : Effect.void))
        ),
        leaving
      ).pipe(Effect.map((row) => row.outcome === "changed")),
    changeRole: ({ conversationId, userId: actorId }, userId, role) =>
      change(
        conversationId,
        sql<Changed>`SELECT * FROM change_role(${conversationId}::uuid, ${actorId}::uuid, ${userId}::uuid,
          ${role}::text)`,
        { ...leaving, "last-owner": lastOwner }
      ).pipe(Effect.map((row) => row.outcome === "changed")),
    find: Effect.fn("Members.find")(function* (conversationId, userIds) {
      const rows = yield* sql<MemberRow>`
        SELECT u.id, u.username, u.display_name, u.avatar_url, u.created_at, m.role, m.joined_at, m.joined_seq,
          m.read_seq, GREATEST(m.delivered_seq, m.read_seq) AS delivered_seq
        FROM conversation_members m JOIN users u ON u.id = m.user_id
        WHERE m.conversation_id = ${conversationId}::uuid AND m.user_id = ANY (${userIds}::uuid[])
          AND m.left_seq IS NULL`
      return rows.map(toMember)
    }, orUnavailable),
    groupsOf: Effect.fn("Members.groupsOf")(function* (userId) {
      const rows = yield* sql<{ id: ConversationId }>`
        SELECT c.id FROM conversation_members m JOIN conversations c ON c.id = m.conversation_id AND c.kind = 'group'
        WHERE m.user_id = ${userId}::uuid AND m.left_seq IS NULL`
      return rows.map(({ id }) => id)
    }, orUnavailable)
  }
  return storage
})
