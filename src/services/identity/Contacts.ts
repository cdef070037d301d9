import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../../domain/Ids.ts"
import type { Unavailable } from "../../domain/Problem.ts"
import { orUnavailable } from "../platform/Sql.ts"

/**
 * The memberships of both users are counted up to this number, and those of the one with fewer are looked through. So it
 * costs little that one of them is in thousands of conversations.
 */
const countedMemberships = 200

type Fragment = ReturnType<SqlClient.SqlClient["literal"]>

/** Of two users the one who is in fewer conversations, as a row with `user_id`, and with the other one as `other_id`. */
export const fewerOf = (sql: SqlClient.SqlClient, one: Fragment, other: Fragment) => sql`(
  SELECT side.user_id, side.other_id FROM (VALUES (${one}, ${other}), (${other}, ${one})) side(user_id, other_id)
  ORDER BY (SELECT count(*) FROM (
    SELECT FROM conversation_members m WHERE m.user_id = side.user_id LIMIT ${countedMemberships}::int
  ) counted)
  LIMIT 1)`

/** The conversations of which both users are members, as rows with `conversation_id`. */
export const sharedBy = (sql: SqlClient.SqlClient, one: Fragment, other: Fragment) => sql`(
  SELECT mine.conversation_id FROM ${fewerOf(sql, one, other)} few
  CROSS JOIN LATERAL (
    SELECT m.conversation_id FROM conversation_members m WHERE m.user_id = few.user_id AND m.left_seq IS NULL OFFSET 0
  ) mine
  CROSS JOIN LATERAL (
    SELECT FROM conversation_members m
    WHERE m.conversation_id = mine.conversation_id AND m.user_id = few.other_id AND m.left_seq IS NULL LIMIT 1
  ) theirs)`

/** Two users, of whom the first asks about the second. */
interface Pair {
  readonly viewerId: UserId
  readonly userId: UserId
}

/**
 * Which users know each other: members of the same group do while both are in it, and members of a DM that has had a
 * message, unless one of the two has blocked the other. Every user is a contact of their own.
 */
export class Contacts extends Context.Service<
  Contacts,
  {
    /** The pairs whose users know each other, each pair once, in no particular order. */
    readonly among: (pairs: ReadonlyArray<Pair>) => Effect.Effect<ReadonlyArray<Pair>, Unavailable>
  }
>()("chat/services/Contacts") {
  /** The implementation on PostgreSQL, in one statement. */
  static readonly layer = Layer.effect(
    Contacts,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      return Contacts.of({
        among: Effect.fn("Contacts.among")(function* (pairs) {
          if (pairs.length === 0) return []
          return yield* sql<Pair>`
            SELECT DISTINCT p.viewer_id, p.user_id
            FROM unnest(${pairs.map(({ viewerId }) => viewerId)}::uuid[], ${pairs.map(({ userId }) => userId)}::uuid[])
              AS p(viewer_id, user_id)
            WHERE p.viewer_id = p.user_id OR EXISTS (
              SELECT FROM ${sharedBy(sql, sql`p.viewer_id`, sql`p.user_id`)} shared
              CROSS JOIN LATERAL (
                SELECT FROM conversation_heads h WHERE h.conversation_id = shared.conversation_id AND NOT h.empty LIMIT 1
              ) alive)
            AND NOT EXISTS (SELECT FROM blocks b
              WHERE (b.user_id, b.blocked_id) IN ((p.viewer_id, p.user_id), (p.user_id, p.viewer_id)))`
        }, orUnavailable)
      })
    })
  )
}
