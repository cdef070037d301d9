import { randomUUIDv7 } from "node:crypto"
import { Clock, Context, Effect, Layer, Schema } from "effect"
import { UserId } from "../../domain/Ids.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import {
  type Conflict,
  type Forbidden,
  InvalidRequest,
  type Issue,
  invalid,
  type NotFound,
  type RateLimited,
  type Reason,
  type Unavailable,
  wrongLength
} from "../../domain/Problem.ts"
import { notForGuests, noUser } from "../../domain/Refusals.ts"
import { Text } from "../../domain/Text.ts"
import type { Me, ProfileChange, Registration, User } from "../../domain/User.ts"
import { makeProfileNotices } from "../bus/ProfileNotices.ts"
import { addressKey } from "../platform/Address.ts"
import { Limits } from "../platform/Limits.ts"
import { usersRegistered } from "../platform/MetricDefinitions.ts"
import { Metrics } from "../platform/Metrics.ts"
import { checkLimit, cursorOf } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import { newPasswordIssue, Passwords } from "./Passwords.ts"
import { areApart, type UserRow } from "./Rows.ts"
import { type FoundAt, start, UserStorage } from "./UserStorage.ts"

/** The part of a row that every user may see. */
export const toUser = (
  row: Pick<UserRow, "id" | "username" | "displayName" | "avatarUrl" | "createdAt" | "kind">
): User => ({
  id: row.id,
  username: row.username,
  displayName: row.displayName,
  avatarUrl: row.avatarUrl,
  createdAt: row.createdAt.toISOString(),
  kind: row.kind === "person" ? "human" : row.kind
})

/** The part of a row that the user may see. */
export const toMe = (row: UserRow): Me => ({ ...toUser(row), email: row.email, whoMayAddMe: row.whoMayAddMe })

/** The form of a text that is compared without regard to case, the same in every database. */
export const folded = (text: string) => text.normalize("NFKC").toLowerCase()

/** Names that would be mistaken for everybody in a conversation, for oneself or for the service. */
const reservedUsernames: ReadonlySet<string> = new Set(["all", "channel", "everyone", "here", "me", "system"])

/** Whether nobody may have this name. */
export const isReservedUsername = (username: string): boolean => reservedUsernames.has(username)

/** Fails with everything that is wrong with the name and the password of a new account. */
export const checkRegistration = (
  { password, username }: Pick<Registration, "password" | "username">,
  limits: Settings["Service"]["limits"]
) => {
  const { max, min } = limits.usernameLength
  const nameReason: Reason | undefined =
    username.length < min || username.length > max
      ? wrongLength({ min, max })
      : isReservedUsername(username)
        ? { message: "is reserved", code: "reserved" }
        : undefined
  const passwordReason = newPasswordIssue(password, limits.passwordLength)
  const issues: ReadonlyArray<Issue> = [
    ...(nameReason === undefined ? [] : [{ path: "username", ...nameReason }]),
    ...(passwordReason === undefined ? [] : [{ path: "password", ...passwordReason }])
  ]
  const [first] = issues
  return first === undefined
    ? Effect.void
    : Effect.fail(new InvalidRequest({ detail: `${first.path} ${first.message}`, errors: issues }))
}

const cursor = cursorOf<FoundAt>(Schema.Struct({ byName: Schema.Literals([0, 1]), name: Text, username: Text }))

/** Accounts and their profiles. */
export class Users extends Context.Service<
  Users,
  {
    /**
     * Makes an account. It counts against the registrations of the address `ip`. Repeating it is a `Conflict`.
     * `insert` stores the row of the new user, and may do more in the same transaction.
     */
    readonly register: <E = never>(
      registration: Omit<Registration, "inviteCode"> & { readonly ip: string },
      insert?: (user: UserRow) => Effect.Effect<void, E | Conflict | Unavailable>
    ) => Effect.Effect<Me, InvalidRequest | Conflict | RateLimited | Unavailable | E>
    /** A profile. A deleted user has one too, because the messages stay, but it no longer identifies the person. */
    readonly get: (id: UserId) => Effect.Effect<User, NotFound | Unavailable>
    /** The caller's own profile; `NotFound` once the account is deleted. */
    readonly me: (id: UserId) => Effect.Effect<Me, NotFound | Unavailable>
    /**
     * Changes the fields that the change names, and no others. The user's devices, and the sockets that watch the user's
     * presence, are told a profile that has changed. Repeating it changes nothing.
     */
    readonly update: (id: UserId, change: ProfileChange) => Effect.Effect<Me, NotFound | Unavailable>
    /**
     * A profile as another user may see it. Guests, and users of another team, see it if they are in a conversation that the
     * other user is or was in; otherwise it is `NotFound`.
     */
    readonly look: (viewerId: UserId, id: UserId) => Effect.Effect<User, NotFound | Unavailable>
    /** As `look`, for several users: each once, in the order of the ids, without those who would be `NotFound`. */
    readonly lookAt: (viewerId: UserId, ids: ReadonlyArray<UserId>) => Effect.Effect<ReadonlyArray<User>, Unavailable>
    /**
     * The users whose username begins with `query` in any case, then those whose display name does. Nobody finds guests,
     * nor users of another team with whom they share no conversation. Guests may not search (`Forbidden`, "guest").
     */
    readonly search: (
      request: PageRequest & { readonly query: string; readonly viewerId: UserId }
    ) => Effect.Effect<Page<User>, InvalidRequest | Forbidden | Unavailable>
    /** The users with these ids, in the order of the ids. Unknown and deleted users are left out. */
    readonly getMany: (ids: ReadonlyArray<UserId>) => Effect.Effect<ReadonlyArray<User>, Unavailable>
  }
>()("chat/services/Users") {
  /** The rules, on any `UserStorage`. */
  static readonly layerNoDeps = Layer.effect(
    Users,
    Effect.gen(function* () {
      const storage = yield* UserStorage
      const limits = yield* Limits
      const passwords = yield* Passwords
      const settings = yield* Settings
      const lookAt = makeLookAt(storage)
      const tellProfile = yield* makeProfileNotices
      const registered = (yield* Metrics).counter(usersRegistered)

      const find = (id: UserId) =>
        Effect.flatMap(storage.find([id]), ([row]) => (row === undefined ? Effect.fail(noUser) : Effect.succeed(row)))

      return Users.of({
        register: Effect.fn("Users.register")(function* <E = never>(
          { ip, ...registration }: Omit<Registration, "inviteCode"> & { readonly ip: string },
          insert: (user: UserRow) => Effect.Effect<void, E | Conflict | Unavailable> = storage.insert
        ) {
          yield* checkRegistration(registration, settings.limits)
          yield* limits.consume(`register:${addressKey(ip)}`, settings.limits.registrationsPerMinuteAddress, "1 minute")
          const passwordHash = yield* passwords.hash(registration.password, {
            account: registration.username,
            address: addressKey(ip)
          })
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
            deletedAt: null,
            disabledAt: null,
            whoMayAddMe: "everybody",
            closingAt: null,
            kind: "person",
            team: null
          }
          yield* insert(row)
          registered()
          return toMe(row)
        }),
        get: Effect.fn("Users.get")((id) => Effect.map(find(id), toUser)),
        me: Effect.fn("Users.me")(function* (id) {
          const row = yield* find(id)
          return row.deletedAt === null ? toMe(row) : yield* noUser
        }),
        update: Effect.fn("Users.update")(function* (id, { avatarUrl, displayName, whoMayAddMe }) {
          const before = yield* find(id)
          const row = yield* storage.update(id, {
            ...(displayName !== undefined && { displayName, searchName: folded(displayName) }),
            ...(avatarUrl !== undefined && { avatarUrl }),
            ...(whoMayAddMe !== undefined && { whoMayAddMe })
          })
          if (row === undefined) return yield* noUser
          yield* tellProfile(toUser(before), toUser(row))
          return toMe(row)
        }),
        look: Effect.fn("Users.look")(function* (viewerId, id) {
          const [user] = yield* lookAt(viewerId, [id])
          return user ?? (yield* noUser)
        }),
        lookAt,
        search: makeSearch(storage, settings.limits.pageSize),
        getMany: Effect.fn("Users.getMany")(function* (ids) {
          const found = yield* storage.find(ids)
          const rows = new Map(found.flatMap((row) => (row.deletedAt === null ? [[row.id, row]] : [])))
          return ids.flatMap((id) => rows.get(id) ?? []).map(toUser)
        })
      })
    })
  )
}

const makeLookAt = (storage: UserStorage["Service"]): Users["Service"]["lookAt"] =>
  Effect.fn("Users.lookAt")(function* (viewerId, ids) {
    const rows = new Map((yield* storage.find([viewerId, ...ids])).map((row) => [row.id, row]))
    const viewer = rows.get(viewerId)
    const found = [...new Set(ids)].flatMap((id) => rows.get(id) ?? [])
    const isOutside = (row: UserRow) => row !== viewer && (viewer?.kind === "guest" || areApart(viewer, row))
    const outside = found.filter(isOutside).map(({ id }) => id)
    const met = outside.length === 0 ? [] : yield* storage.met(viewerId, outside)
    return found.filter((row) => !isOutside(row) || met.includes(row.id)).map(toUser)
  })

const makeSearch = (storage: UserStorage["Service"], pageSize: number): Users["Service"]["search"] =>
  Effect.fn("Users.search")(function* (request) {
    if (!Schema.is(Text)(request.query)) return yield* invalid("query", "must be well-formed text without NUL")
    yield* checkLimit(request, pageSize)
    const after = request.cursor === undefined ? start : yield* cursor.decode(request.cursor)
    const [viewer] = yield* storage.find([request.viewerId])
    if (viewer?.kind === "guest") return yield* notForGuests
    const found = yield* storage.search(folded(request.query), after, request.limit + 1, {
      id: request.viewerId,
      team: viewer?.team ?? null
    })
    const page = found.slice(0, request.limit)
    const last = page.at(-1)
    return {
      items: page.map(toUser),
      ...(found.length > page.length && last !== undefined && { nextCursor: cursor.encode(last) })
    }
  })
