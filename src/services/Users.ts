import { randomUUIDv7 } from "node:crypto"
import { Clock, Context, Effect, Layer, Schema } from "effect"
import { UserId } from "../domain/Ids.ts"
import type { Page, PageRequest } from "../domain/Page.ts"
import {
  type Conflict,
  InvalidRequest,
  invalid,
  NotFound,
  type RateLimited,
  type Unavailable
} from "../domain/Problem.ts"
import { Text } from "../domain/Text.ts"
import type { Me, ProfileChange, Registration, User } from "../domain/User.ts"
import { addressKey, Limits } from "./Limits.ts"
import type { UserRow } from "./Memory.ts"
import { usersRegistered } from "./MetricDefinitions.ts"
import { Metrics } from "./Metrics.ts"
import { checkLimit, cursorOf } from "./Paging.ts"
import { Passwords, passwordIssue } from "./Passwords.ts"
import { Settings } from "./Settings.ts"
import { type FoundAt, makeMemoryUsers, makeSqlUsers, start, type UserStorage } from "./UserStorage.ts"

/** What everybody may see of a row. */
export const toUser = (row: Pick<UserRow, "id" | "username" | "displayName" | "avatarUrl" | "createdAt">): User => ({
  id: row.id,
  username: row.username,
  displayName: row.displayName,
  avatarUrl: row.avatarUrl,
  createdAt: row.createdAt.toISOString()
})

/** What only the user may see. */
export const toMe = (row: UserRow): Me => ({ ...toUser(row), email: row.email })

/** How texts are compared without regard to case, the same in every database. */
export const folded = (text: string) => text.normalize("NFKC").toLowerCase()

const cursor = cursorOf<FoundAt>(Schema.Struct({ byName: Schema.Literals([0, 1]), name: Text, username: Text }))

/** Accounts and their profiles. */
export class Users extends Context.Service<
  Users,
  {
    /** Makes an account. `ip` counts against the registrations of that address. */
    readonly register: (
      registration: Registration & { readonly ip: string }
    ) => Effect.Effect<Me, InvalidRequest | Conflict | RateLimited | Unavailable>
    /** Also of a deleted user, whose messages are still there: then it tells nothing of who it was. */
    readonly get: (id: UserId) => Effect.Effect<User, NotFound | Unavailable>
    readonly me: (id: UserId) => Effect.Effect<Me, NotFound | Unavailable>
    /** Changes the fields that are there. */
    readonly update: (id: UserId, change: ProfileChange) => Effect.Effect<Me, NotFound | Unavailable>
    /** Whose username, or else display name, begins with `query`, in any case; in that order. */
    readonly search: (
      request: PageRequest & { readonly query: string }
    ) => Effect.Effect<Page<User>, InvalidRequest | Unavailable>
    /** Those of the users that exist, in the order of the ids. */
    readonly getMany: (ids: ReadonlyArray<UserId>) => Effect.Effect<ReadonlyArray<User>, Unavailable>
  }
>()("chat/services/Users") {
  static readonly make = Effect.fnUntraced(function* (storage: UserStorage) {
    const limits = yield* Limits
    const passwords = yield* Passwords
    const settings = yield* Settings
    const registered = (yield* Metrics).counter(usersRegistered)

    const check = ({ password, username }: Registration) => {
      const { max, min } = settings.limits.usernameLength
      const issues = [
        {
          path: "username",
          message: username.length < min || username.length > max ? `must have ${min} to ${max} characters` : undefined
        },
        { path: "password", message: passwordIssue(password, settings.limits.passwordLength) }
      ].flatMap(({ message, path }) => (message === undefined ? [] : [{ path, message }]))
      const [first] = issues
      return first === undefined
        ? Effect.void
        : Effect.fail(new InvalidRequest({ detail: `${first.path} ${first.message}`, errors: issues }))
    }

    const find = (id: UserId) =>
      Effect.flatMap(storage.find([id]), ([row]) =>
        row === undefined ? Effect.fail(new NotFound({})) : Effect.succeed(row)
      )

    return Users.of({
      register: Effect.fn("Users.register")(function* ({ ip, ...registration }) {
        yield* check(registration)
        yield* limits.consume(`register:${addressKey(ip)}`, settings.limits.registrationsPerMinuteAddress, "1 minute")
        const passwordHash = yield* passwords.hash(registration.password)
        const row: UserRow = {
          id: UserId.make(randomUUIDv7()),
          email: registration.email,
          emailKey: folded(registration.email),
          username: registration.username,
          displayName: registration.displayName,
          searchName: folded(registration.displayName),
          avatarUrl: registration.avatarUrl ?? null,
          passwordHash,
          createdAt: new Date(yield* Clock.currentTimeMillis),
          deletedAt: null
        }
        yield* storage.insert(row)
        registered()
        return toMe(row)
      }),
      get: Effect.fn("Users.get")((id) => Effect.map(find(id), toUser)),
      me: Effect.fn("Users.me")(function* (id) {
        const row = yield* find(id)
        return row.deletedAt === null ? toMe(row) : yield* new NotFound({})
      }),
      update: Effect.fn("Users.update")(function* (id, { avatarUrl, displayName }) {
        const row = yield* storage.update(id, {
          ...(displayName !== undefined && { displayName, searchName: folded(displayName) }),
          ...(avatarUrl !== undefined && { avatarUrl })
        })
        return row === undefined ? yield* new NotFound({}) : toMe(row)
      }),
      search: Effect.fn("Users.search")(function* (request) {
        if (!Schema.is(Text)(request.query)) return yield* invalid("query", "must be well-formed text without NUL")
        yield* checkLimit(request, settings.limits.pageSize)
        const after = request.cursor === undefined ? start : yield* cursor.decode(request.cursor)
        const found = yield* storage.search(folded(request.query), after, request.limit + 1)
        const page = found.slice(0, request.limit)
        const last = page.at(-1)
        return {
          items: page.map(toUser),
          ...(found.length > page.length && last !== undefined && { nextCursor: cursor.encode(last) })
        }
      }),
      getMany: Effect.fn("Users.getMany")(function* (ids) {
        const found = yield* storage.find(ids)
        const rows = new Map(found.flatMap((row) => (row.deletedAt === null ? [[row.id, row]] : [])))
        return ids.flatMap((id) => rows.get(id) ?? []).map(toUser)
      })
    })
  })

  static readonly layer = Layer.effect(Users, Effect.flatMap(makeSqlUsers, Users.make))

  static readonly layerTest = Layer.effect(Users, Effect.flatMap(makeMemoryUsers, Users.make))
}
