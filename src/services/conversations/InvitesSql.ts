import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, InviteCode } from "../../domain/Ids.ts"
import { groupFull, idempotencyKeyReused, noInvite } from "../../domain/Refusals.ts"
import { makeMembershipSignals } from "../bus/MembershipSignals.ts"
import { orTaken } from "../identity/UsersSql.ts"
import { type Changed, makeChanges, refuse } from "../log/Changes.ts"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { groupProblems } from "./ConversationRules.ts"
import { type InviteRow, InviteStorage, inviteCursor, toInvite, toInvites } from "./InviteStorage.ts"
import { Invites } from "./Invites.ts"

const creating = { ...groupProblems, reused: idempotencyKeyReused }
const revoking = { ...groupProblems, "no-invite": noInvite }
const accepting = { "no-invite": noInvite, "group-full": groupFull }

const storage = Layer.effect(
  InviteStorage,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { change } = yield* makeChanges
    const signal = yield* makeMembershipSignals

    return InviteStorage.of({
      create: Effect.fnUntraced(function* ({ conversationId, userId }, request) {
        const [made] = yield* sql<{ outcome: string; inviteCode: InviteCode }>`SELECT * FROM make_invite(
          ${conversationId}::uuid, ${userId}::uuid, ${request.code}::text, ${request.expiresInSeconds}::int,
          ${request.maxUses}::int, ${request.key}::text, ${request.requestHash}::bytea, ${request.guests}::boolean)`.pipe(
          retryDeadlocks
        )
        yield* refuse(made?.outcome, creating)
        const [row] = yield* sql<InviteRow>`SELECT * FROM invites WHERE code = ${made?.inviteCode ?? ""}`
        return row === undefined ? yield* noInvite : toInvite(row)
      }, orUnavailable),
      list: Effect.fnUntraced(function* (conversationId, page) {
        const below = page.cursor === undefined ? null : yield* inviteCursor.decode(page.cursor)
        const rows = yield* sql<InviteRow>`
          SELECT i.* FROM invites i WHERE i.conversation_id = ${conversationId}::uuid AND i.revoked_at IS NULL
            AND is_open(i) AND i.number < ${below ?? Number.MAX_SAFE_INTEGER}::bigint
          ORDER BY i.number DESC LIMIT ${page.limit + 1}`
        return toInvites(rows, page.limit)
      }, orUnavailable),
      revoke: Effect.fnUntraced(function* ({ conversationId, userId }, code) {
        const [row] = yield* sql<{ outcome: string }>`SELECT revoke_invite(${conversationId}::uuid, ${userId}::uuid,
          ${code}::text) AS outcome`.pipe(retryDeadlocks)
        yield* refuse(row?.outcome, revoking)
      }, orUnavailable),
      groupOf: Effect.fnUntraced(function* (code) {
        const [row] = yield* sql<{ id: ConversationId }>`SELECT conversation_id AS id FROM invites WHERE code = ${code}`
        return row?.id ?? (yield* noInvite)
      }, orUnavailable),
      accept: (userId, conversationId, code, limit) =>
        change(
          conversationId,
          sql<Changed>`SELECT * FROM accept_invite(${code}::text, ${userId}::uuid, ${limit}::int)`.pipe(
            Effect.tap(([row]) => (row?.outcome === "changed" ? signal(conversationId, [userId]) : Effect.void))
          ),
          accepting
        ).pipe(Effect.map((row) => row.outcome === "changed")),
      register: (user, conversationId, code, limit) =>
        change(
          conversationId,
          (user.kind === "guest"
            ? sql<Changed>`SELECT * FROM join_as_guest(${user.id}::uuid, ${user.username}::text,
              ${user.displayName}::text, ${user.searchName}::text, ${user.createdAt}::timestamptz, ${code}::text,
              ${limit}::int)`
            : sql<Changed>`SELECT * FROM register_invited(${user.id}::uuid, ${user.email}::text, ${user.emailKey}::text,
              ${user.username}::text, ${user.displayName}::text, ${user.searchName}::text, ${user.avatarUrl}::text,
              ${user.passwordHash}::text, ${user.createdAt}::timestamptz, ${code}::text, ${limit}::int)`
          ).pipe(
            Effect.tap(([row]) => (row?.outcome === "changed" ? signal(conversationId, [user.id]) : Effect.void)),
            orTaken
          ),
          accepting
        ).pipe(Effect.asVoid)
    })
  })
)

/** Invites on PostgreSQL. */
export const layer = Invites.layerNoDeps.pipe(Layer.provide(storage))
