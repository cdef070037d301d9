import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { SqlError } from "effect/sql/SqlError"
import { orUnavailable } from "../platform/Sql.ts"
import { fewerOf, sharedBy } from "./Contacts.ts"
import type { UserRow } from "./Rows.ts"
import { type FoundAt, taken, UserStorage } from "./UserStorage.ts"
import { Users } from "./Users.ts"

/** Greater than every text that begins with the prefix: nothing comes after Unicode's last code point. */
export const endOf = (prefix: string) => `${prefix}\u{10FFFF}`

/** Turns the violation of an index of users into the `Conflict` that it stands for. */
export const orTaken = <A, E, R>(self: Effect.Effect<A, E | SqlError, R>) =>
  Effect.mapError(self, (error) =>
    !(error instanceof SqlError) || error.reason._tag !== "UniqueViolation"
      ? error
      : error.reason.constraint === "users_email"
        ? taken("email-taken")
        : error.reason.constraint === "users_username"
          ? taken("username-taken")
          : error
  )

type Fragment = ReturnType<SqlClient.SqlClient["literal"]>

/** A name of a user who can be found, as the indexes of migration 0032 have it: null for guests and deleted users. */
const ofFindable = (sql: SqlClient.SqlClient, name: "username" | "search_name") =>
  sql`(CASE WHEN deleted_at IS NULL AND kind <> 'guest' THEN ${sql.literal(name)} END)`

/** Up to this many users of a name are looked up one by one in the conversations of the viewer. */
const fewNamesakes = 100

/**
 * The common table expression `elsewhere`: the users of other teams with whom the viewer shares a conversation. Where few
 * users have the name, only they are looked up. For more it reads the members of all conversations of the viewer, but
 * never the users of all teams. A name is a condition on users, with the order of the index that has it.
 */
const elsewhere = (
  sql: SqlClient.SqlClient,
  { id, team }: Pick<UserRow, "id" | "team">,
  names: ReadonlyArray<readonly [condition: Fragment, order: Fragment]>
) => {
  const named = names.map(
    ([condition, order]) =>
      sql`(SELECT id, team FROM users WHERE ${condition} ORDER BY ${order} LIMIT ${fewNamesakes + 1})`
  )
  const few = sql`(SELECT count(*) FROM namesakes) <= ${fewNamesakes}`
  return sql`namesakes AS MATERIALIZED (${sql.join(" UNION ", false)(named)}),
    elsewhere AS MATERIALIZED (
      SELECT u.* FROM (
        SELECT n.id FROM namesakes n WHERE ${few} AND n.team <> ${team}
          AND EXISTS (SELECT FROM ${sharedBy(sql, sql`${id}::uuid`, sql`n.id`)} shared)
        UNION
        SELECT other.user_id FROM conversation_members me CROSS JOIN LATERAL (
          SELECT m.user_id FROM conversation_members m
          WHERE m.conversation_id = me.conversation_id AND m.left_seq IS NULL OFFSET 0
        ) other
        WHERE NOT ${few} AND me.user_id = ${id} AND me.left_seq IS NULL
      ) s CROSS JOIN LATERAL (SELECT * FROM users x WHERE x.id = s.id AND x.team <> ${team} LIMIT 1) u
    ),`
}

/**
 * The users whom the viewer may find, by a condition and in an order that an index has. For a viewer with a team these are
 * two ranges of such an index and those `elsewhere`, so that nobody reads the users of all other teams.
 */
const findable = (
  sql: SqlClient.SqlClient,
  team: string | null,
  condition: Fragment,
  order: Fragment,
  limit: Fragment
) => {
  const those = (from: string, where: Fragment) =>
    sql`(SELECT * FROM ${sql.literal(from)} WHERE ${where} AND ${condition} ORDER BY ${order} LIMIT ${limit})`
  if (team === null) return sql`${those("users", sql`true`)} found`
  return sql`(${those("users", sql`team = ${team}`)} UNION ALL ${those("users", sql`team IS NULL`)}
    UNION ALL ${those("elsewhere", sql`true`)}) found`
}

const makeStorage = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  return UserStorage.of({
    insert: (user) =>
      sql`INSERT INTO users (id, email, email_key, username, display_name, search_name, avatar_url, password_hash,
          created_at)
        VALUES (${user.id}, ${user.email}, ${user.emailKey}, ${user.username}, ${user.displayName}, ${user.searchName},
          ${user.avatarUrl}, ${user.passwordHash}, ${user.createdAt})`.pipe(orTaken, Effect.asVoid, orUnavailable),
    find: (ids) => sql<UserRow>`SELECT * FROM users WHERE id = ANY (${ids}::uuid[])`.pipe(orUnavailable),
    update: (id, change) =>
      sql<UserRow>`UPDATE users SET display_name = COALESCE(${change.displayName ?? null}::text, display_name),
          search_name = COALESCE(${change.searchName ?? null}::text, search_name),
          who_may_add_me = COALESCE(${change.whoMayAddMe ?? null}::text, who_may_add_me),
          avatar_url = CASE WHEN ${change.avatarUrl === undefined} THEN avatar_url ELSE ${change.avatarUrl ?? null}::text END
        WHERE id = ${id} AND deleted_at IS NULL
        RETURNING *`.pipe(
        Effect.map((rows) => rows[0]),
        orUnavailable
      ),
    met: (userId, others) =>
      sql<Pick<UserRow, "id">>`SELECT o.id FROM unnest(${others}::uuid[]) o(id) WHERE EXISTS (
          SELECT FROM ${fewerOf(sql, sql`${userId}::uuid`, sql`o.id`)} few
          CROSS JOIN LATERAL (
            SELECT m.conversation_id, m.left_seq FROM conversation_members m WHERE m.user_id = few.user_id OFFSET 0
          ) mine
          CROSS JOIN LATERAL (
            SELECT m.left_seq FROM conversation_members m
            WHERE m.conversation_id = mine.conversation_id AND m.user_id = few.other_id LIMIT 1
          ) theirs
          WHERE CASE WHEN few.user_id = ${userId} THEN mine.left_seq ELSE theirs.left_seq END IS NULL)`.pipe(
        Effect.map((rows) => rows.map(({ id }) => id)),
        orUnavailable
      ),
    // Two ranges of an index each; no LIKE, so there is nothing to escape. The second one begins at the prefix, and is
    // only read for what the first one leaves of the page.
    search: (prefix, after, limit, viewer) => {
      const from = after.byName === 1 ? after : { name: prefix, username: "" }
      const [username, name] = [ofFindable(sql, "username"), ofFindable(sql, "search_name")]
      const isNamed = sql`${username} >= ${prefix} AND ${username} < ${endOf(prefix)}`
      const isNext = sql`${after.byName === 0} AND ${isNamed} AND ${username} > ${after.username}`
      const isLater = sql`${name} >= ${prefix} AND ${name} < ${endOf(prefix)}
        AND (${name}, username) > (${from.name}, ${from.username})`
      const isShown = sql`${isLater} AND NOT (${isNamed})`
      const byName = sql`${name}, username`
      const strangers =
        viewer.team === null
          ? sql``
          : elsewhere(sql, viewer, [
              [isNext, username],
              [isLater, byName]
            ])
      const rest = sql`${limit}::bigint - (SELECT count(*) FROM named)`
      return sql<UserRow & FoundAt>`
        WITH ${strangers} named AS MATERIALIZED (
          SELECT 0 AS by_name, username AS name, found.*
          FROM ${findable(sql, viewer.team, isNext, username, sql`${limit}`)}
          ORDER BY username LIMIT ${limit}
        )
        SELECT * FROM named
        UNION ALL
        (SELECT 1 AS by_name, search_name AS name, found.*
          FROM ${findable(sql, viewer.team, isShown, byName, rest)}
          ORDER BY search_name, username LIMIT ${rest})
        ORDER BY by_name, name, username LIMIT ${limit}`.pipe(orUnavailable)
    }
  })
})

/** Users on PostgreSQL. */
export const layer = Users.layerNoDeps.pipe(Layer.provide(Layer.effect(UserStorage, makeStorage)))
