import { Effect, Layer } from "effect"
import { areApart, type UserRow } from "../../services/identity/Rows.ts"
import { type FoundAt, taken, UserStorage } from "../../services/identity/UserStorage.ts"
import { Users } from "../../services/identity/Users.ts"
import { shareNow } from "./Meeting.ts"
import { Memory } from "./State.ts"

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

const inOrder = (a: FoundAt, b: FoundAt) =>
  a.byName - b.byName || byBytes(a.name, b.name) || byBytes(a.username, b.username)

/** Stores a new user, unless its e-mail address or its username is taken. */
export const insertUser = (users: Memory["Service"]["users"], user: UserRow) =>
  Effect.suspend(() => {
    const all = Array.from(users.values())
    if (all.some(({ emailKey }) => emailKey === user.emailKey)) return Effect.fail(taken("email-taken"))
    if (all.some(({ username }) => username === user.username)) return Effect.fail(taken("username-taken"))
    users.set(user.id, user)
    return Effect.void
  })

const makeStorage = Effect.map(Memory, ({ conversations, users }) => {
  const alive = () => Array.from(users.values()).filter((user) => user.deletedAt === null)
  return UserStorage.of({
    insert: (user) => insertUser(users, user),
    find: (ids) => Effect.sync(() => Array.from(users.values()).filter(({ id }) => ids.includes(id))),
    update: (id, change) =>
      Effect.sync(() => {
        const user = alive().find((user) => user.id === id)
        if (user === undefined) return undefined
        const changed = { ...user, ...change }
        users.set(id, changed)
        return changed
      }),
    met: (userId, others) =>
      Effect.sync(() =>
        others.filter((other) =>
          Array.from(conversations.values()).some(
            ({ members }) => members.get(userId)?.leftSeq === null && members.has(other)
          )
        )
      ),
    search: (prefix, after, limit, viewer) =>
      Effect.sync(() =>
        alive()
          .filter(
            (user) => user.kind !== "guest" && (!areApart(viewer, user) || shareNow(conversations, viewer.id, user.id))
          )
          .map((user): UserRow & FoundAt =>
            user.username.startsWith(prefix)
              ? { ...user, byName: 0, name: user.username }
              : { ...user, byName: 1, name: user.searchName }
          )
          .filter((found) => found.name.startsWith(prefix) && inOrder(found, after) > 0)
          .sort(inOrder)
          .slice(0, limit)
      )
  })
})

/** Users in `Memory`. */
export const layerMemory = Users.layerNoDeps.pipe(Layer.provide(Layer.effect(UserStorage, makeStorage)))
