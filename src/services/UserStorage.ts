import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../domain/Ids.ts"
import { Conflict, type Unavailable } from "../domain/Problem.ts"
import { Memory, type UserRow } from "./Memory.ts"
import { orUnavailable } from "./Sql.ts"

/**
 * A place in the results of a search. Those found by username come first (`byName` 0, `name` the username), then those
 * found by display name alone (`byName` 1, `name` the folded display name).
 */
export interface FoundAt {
  readonly byName: 0 | 1
  readonly name: string
  readonly username: string
}

/** Before all that is found. */
export const start: FoundAt = { byName: 0, name: "", username: "" }

/** The changed fields only. */
export type UserChange = Partial<Pick<UserRow, "displayName" | "searchName" | "avatarUrl">>

/** Where users are kept. Of a deleted one there is only a row that tells nothing. */
export interface UserStorage {
  readonly insert: (user: UserRow) => Effect.Effect<void, Conflict | Unavailable>
  /** Deleted ones too, in no particular order. */
  readonly find: (ids: ReadonlyArray<UserId>) => Effect.Effect<ReadonlyArray<UserRow>, Unavailable>
  readonly update: (id: UserId, change: UserChange) => Effect.Effect<UserRow | undefined, Unavailable>
  readonly search: (
    prefix: string,
    after: FoundAt,
    limit: number
  ) => Effect.Effect<ReadonlyArray<UserRow & FoundAt>, Unavailable>
}

const taken = (code: "email-taken" | "username-taken") =>
  new Conflict({ code, detail: code === "email-taken" ? "This e-mail address is taken" : "This username is taken" })

/** Greater than every text that begins with the prefix: nothing comes after Unicode's last code point. */
const endOf = (prefix: string) => `${prefix}\u{10FFFF}`

/** In PostgreSQL. */
export const makeSqlUsers = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const storage: UserStorage = {
    insert: (user) =>
      sql`INSERT INTO users (id, email, email_key, username, display_name, search_name, avatar_url, password_hash,
          created_at)
        VALUES (${user.id}, ${user.email}, ${user.emailKey}, ${user.username}, ${user.displayName}, ${user.searchName},
          ${user.avatarUrl}, ${user.passwordHash}, ${user.createdAt})`.pipe(
        Effect.mapError((error) =>
          error.reason._tag !== "UniqueViolation"
            ? error
            : error.reason.constraint === "users_email"
              ? taken("email-taken")
              : error.reason.constraint === "users_username"
                ? taken("username-taken")
                : error
        ),
        Effect.asVoid,
        orUnavailable
      ),
    find: (ids) => sql<UserRow>`SELECT * FROM users WHERE id = ANY (${ids}::uuid[])`.pipe(orUnavailable),
    update: (id, change) =>
      sql<UserRow>`UPDATE users SET display_name = COALESCE(${change.displayName ?? null}::text, display_name),
          search_name = COALESCE(${change.searchName ?? null}::text, search_name),
          avatar_url = CASE WHEN ${change.avatarUrl === undefined} THEN avatar_url ELSE ${change.avatarUrl ?? null}::text END
        WHERE id = ${id} AND deleted_at IS NULL
        RETURNING *`.pipe(
        Effect.map((rows) => rows[0]),
        orUnavailable
      ),
    // Two ranges of an index each; no LIKE, so there is nothing to escape.
    search: (prefix, after, limit) => {
      const from = after.byName === 1 ? after : start
      return sql<UserRow & FoundAt>`
        (SELECT 0 AS by_name, username AS name, * FROM users
          WHERE ${after.byName === 0} AND deleted_at IS NULL
            AND username >= ${prefix} AND username < ${endOf(prefix)} AND username > ${after.username}
          ORDER BY username LIMIT ${limit})
        UNION ALL
        (SELECT 1 AS by_name, search_name AS name, * FROM users
          WHERE deleted_at IS NULL
            AND search_name >= ${prefix} AND search_name < ${endOf(prefix)}
            AND (search_name, username) > (${from.name}, ${from.username})
            AND NOT (username >= ${prefix} AND username < ${endOf(prefix)})
          ORDER BY search_name, username LIMIT ${limit})
        ORDER BY by_name, name, username LIMIT ${limit}`.pipe(orUnavailable)
    }
  }
  return storage
})

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

const inOrder = (a: FoundAt, b: FoundAt) =>
  a.byName - b.byName || byBytes(a.name, b.name) || byBytes(a.username, b.username)

/** In `Memory`. */
export const makeMemoryUsers = Effect.map(Memory, ({ users }): UserStorage => {
  const alive = () => Array.from(users.values()).filter((user) => user.deletedAt === null)
  return {
    insert: (user) =>
      Effect.suspend(() => {
        const all = Array.from(users.values())
        if (all.some(({ emailKey }) => emailKey === user.emailKey)) return Effect.fail(taken("email-taken"))
        if (all.some(({ username }) => username === user.username)) return Effect.fail(taken("username-taken"))
        users.set(user.id, user)
        return Effect.void
      }),
    find: (ids) => Effect.sync(() => Array.from(users.values()).filter(({ id }) => ids.includes(id))),
    update: (id, change) =>
      Effect.sync(() => {
        const user = alive().find((user) => user.id === id)
        if (user === undefined) return undefined
        const changed = { ...user, ...change }
        users.set(id, changed)
        return changed
      }),
    search: (prefix, after, limit) =>
      Effect.sync(() =>
        alive()
          .map((user): UserRow & FoundAt =>
            user.username.startsWith(prefix)
              ? { ...user, byName: 0, name: user.username }
              : { ...user, byName: 1, name: user.searchName }
          )
          .filter((found) => found.name.startsWith(prefix) && inOrder(found, after) > 0)
          .sort(inOrder)
          .slice(0, limit)
      )
  }
})
