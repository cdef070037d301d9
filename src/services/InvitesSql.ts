import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, InviteCode } from "../domain/Ids.ts"
import type { Problem } from "../domain/Problem.ts"
import { type Changed, makeChanges } from "./Changes.ts"
import { keyReused } from "./ConversationRows.ts"
import { groupFull, groupProblems, noInvite, notAGroup, notAllowed } from "./GroupRules.ts"
import { type InviteRow, type InviteStorage, inviteCursor, toInvite, toInvites } from "./InviteStorage.ts"
import { makeMembershipSignals } from "./MembershipSignals.ts"
import { makeSqlMembers } from "./MembersSql.ts"
import { isRetryable, orUnavailable } from "./Sql.ts"

const creating = { ...groupProblems, reused: keyReused }
const revoking = { ...groupProblems, "no-invite": noInvite }

/** The problem that an outcome stands for, if it is one. */
const check = <P extends Problem>(problems: Readonly<Record<string, P>>, outcome: string | undefined) => {
  const problem = problems[outcome ?? ""]
  return problem === undefined ? Effect.void : Effect.fail(problem)
}

/** On PostgreSQL: the functions of migration 0017. */
export const makeSqlInvites = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { change } = yield* makeChanges
  const { standing } = yield* makeSqlMembers
  const tell = yield* makeMembershipSignals
  const retry = { while: isRetryable, times: 2 }

  const storage: InviteStorage = {
    create: Effect.fnUntraced(function* ({ conversationId, userId }, request) {
      const [made] = yield* sql<{ outcome: string; inviteCode: InviteCode }>`SELECT * FROM create_invite(
        ${conversationId}::uuid, ${userId}::uuid, ${request.code}::text, ${request.expiresInSeconds}::int,
        ${request.maxUses}::int, ${request.key}::text, ${request.requestHash}::bytea)`.pipe(Effect.retry(retry))
      yield* check(creating, made?.outcome)
      const [row] = yield* sql<InviteRow>`SELECT * FROM invites WHERE code = ${made?.inviteCode ?? ""}`
      return row === undefined ? yield* noInvite : toInvite(row)
    }, orUnavailable),
    list: Effect.fnUntraced(function* (actor, page) {
      const { kind, role } = yield* standing(actor)
      if (kind !== "group") return yield* notAGroup
      if (role === "member") return yield* notAllowed
      const below = page.cursor === undefined ? null : yield* inviteCursor.decode(page.cursor)
      const rows = yield* sql<InviteRow>`
        SELECT i.* FROM invites i WHERE i.conversation_id = ${actor.conversationId}::uuid AND is_open(i)
          AND (${below}::bigint IS NULL OR i.number < ${below}::bigint)
        ORDER BY i.number DESC LIMIT ${page.limit + 1}`
      return toInvites(rows, page.limit)
    }, orUnavailable),
    revoke: Effect.fnUntraced(function* ({ conversationId, userId }, code) {
      const [row] = yield* sql<{ outcome: string }>`SELECT revoke_invite(${conversationId}::uuid, ${userId}::uuid,
        ${code}::text) AS outcome`.pipe(Effect.retry(retry))
      yield* check(revoking, row?.outcome)
    }, orUnavailable),
    groupOf: Effect.fnUntraced(function* (code) {
      const [row] = yield* sql<{ id: ConversationId }>`SELECT conversation_id AS id FROM invites WHERE code = ${code}`
      return row?.id ?? (yield* noInvite)
    }, orUnavailable),
    accept: (conversationId, userId, code, limit) =>
      change(
        conversationId,
        sql<Changed>`SELECT * FROM accept_invite(${code}::text, ${userId}::uuid, ${limit}::int)`.pipe(
          Effect.tap(([row]) => (row?.outcome === "changed" ? tell(conversationId, [userId]) : Effect.void))
        ),
        { "no-invite": noInvite, "group-full": groupFull }
      ).pipe(Effect.map((row) => row.outcome === "changed"))
  }
  return storage
})
