import { Effect, Layer } from "effect"
import { ServerUserStorage, ServerUsers, type Upsert, type Upserted } from "../../services/admin/ServerUsers.ts"
import type { UserRow } from "../../services/identity/Rows.ts"
import { addAudit } from "./Audit.ts"
import { identityKey, Memory } from "./State.ts"

const makeUser = (users: Memory["Service"]["users"], wanted: Upsert, createdAt: Date): UserRow => {
  const taken = new Set(Array.from(users.values(), ({ username }) => username))
  const username = wanted.usernames.find((name) => !taken.has(name))
  if (username === undefined) throw new Error("every username for a new user is taken")
  return {
    id: wanted.id,
    email: wanted.email ?? "",
    emailKey: `external-${wanted.id}`,
    username,
    displayName: wanted.displayName ?? username,
    searchName: wanted.searchName ?? username,
    avatarUrl: wanted.avatarUrl ?? null,
    passwordHash: "",
    createdAt,
    deletedAt: null,
    disabledAt: null,
    whoMayAddMe: "everybody",
    closingAt: null,
    kind: wanted.kind,
    team: wanted.team ?? null
  }
}

const makeStorage = Effect.map(Memory, (memory) => {
  const { atomically, identities, users } = memory

  const find = (issuer: string, subject: string) => {
    const identity = identities.get(identityKey(issuer, subject))
    const user = identity === undefined || identity.closed ? undefined : users.get(identity.userId)
    return user?.deletedAt === null ? user : undefined
  }

  const upsert = (issuer: string, wanted: Upsert, now: Date): Upserted => {
    const known = find(issuer, wanted.subject)
    if (known === undefined) {
      const user = makeUser(users, wanted, now)
      users.set(user.id, user)
      const identity = { userId: user.id, profileAt: now.getTime(), validFrom: 0, closed: false }
      identities.set(identityKey(issuer, wanted.subject), identity)
      return { outcome: "created", user }
    }
    const { id: _, kind: ____, subject: __, usernames: ___, ...given } = wanted
    const user = { ...known, ...given }
    if (JSON.stringify(user) === JSON.stringify(known)) return { outcome: "unchanged", user }
    users.set(user.id, user)
    return { outcome: "updated", user }
  }

  return ServerUserStorage.of({
    upsert: Effect.fnUntraced(function* (issuer, all, actor, now) {
      const done: Array<Upserted> = []
      for (const wanted of all) {
        const upserted = upsert(issuer, wanted, now)
        done.push(upserted)
        if (upserted.outcome === "ended" || upserted.outcome === "unchanged") continue
        const detail = { externalId: wanted.subject, created: upserted.outcome === "created" }
        const line = { actor, act: "server.upsertUser", targetKind: "user", targetId: upserted.user.id, detail }
        yield* addAudit(memory, line)
      }
      return done
    }, atomically),
    find: (issuer, subject) => Effect.sync(() => find(issuer, subject))
  })
})

/** The users of the application in `Memory`. */
export const layerMemory = ServerUsers.layerNoDeps.pipe(Layer.provide(Layer.effect(ServerUserStorage, makeStorage)))
