import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { TestClock } from "effect/testing"
import { ExternalId } from "../../../src/domain/ExternalId.ts"
import { ServiceTokenId } from "../../../src/domain/Ids.ts"
import { AccountAdmin } from "../../../src/services/admin/AccountAdmin.ts"
import { Audit } from "../../../src/services/admin/Audit.ts"
import { Principals } from "../../../src/services/admin/Principals.ts"
import { ServerUsers } from "../../../src/services/admin/ServerUsers.ts"
import { ServiceTokens } from "../../../src/services/admin/ServiceTokens.ts"
import { Sessions } from "../../../src/services/identity/Sessions.ts"
import { outcome, people, refused } from "../../support/Chat.ts"
import type { Operators } from "../../support/Operators.ts"

const program = ServiceTokenId.make("00000000-0000-7000-8000-00000000000a")
let made = 0
const newId = () => ExternalId.make(`customer ${++made}/ü`)

const newestLines = (limit: number) =>
  Audit.use((audit) =>
    Effect.map(audit.list({ limit }), ({ items }) => items.map(({ act, detail, target }) => [act, target.id, detail]))
  )

/** The behaviour that every implementation of ServerUsers must have. */
export const serverUsersContract = <E>(layer: Layer.Layer<Operators, E>) => {
  withLayer(layer)("ServerUsers", (it) => {
    it.effect("are made once, and then changed in what is given", () =>
      Effect.gen(function* () {
        const users = yield* ServerUsers
        const externalId = newId()
        const upsert = (profile: object) =>
          Effect.map(users.upsert(program, [{ externalId, ...profile }]), ([user = assert.fail()]) => user)
        const profile = { displayName: "Ann", avatarUrl: "https://example.com/ann.png", email: "ann@example.com" }
        const ann = yield* upsert({ ...profile, username: `ann${made}` })
        assert.deepInclude(ann, { ...profile, externalId, username: `ann${made}`, disabledAt: null })
        assert.deepStrictEqual(yield* upsert({}), ann)
        assert.deepStrictEqual(yield* upsert({ ...profile, username: "another" }), ann)
        const changed = yield* upsert({ displayName: "Anna", avatarUrl: null })
        assert.deepStrictEqual(changed, { ...ann, displayName: "Anna", avatarUrl: null })
        assert.deepStrictEqual(yield* users.get(externalId), changed)
        assert.deepStrictEqual(yield* newestLines(2), [
          ["server.upsertUser", ann.id, { externalId, created: false }],
          ["server.upsertUser", ann.id, { externalId, created: true }]
        ])
        assert.strictEqual(yield* outcome(users.get(newId())), "NotFound")
      })
    )

    it.effect("get another username when the wished one is taken, and one of their own without a wish", () =>
      Effect.gen(function* () {
        const users = yield* ServerUsers
        const username = "x".repeat(32)
        const all = [newId(), newId(), newId(), newId()].map((externalId, i) => ({
          externalId,
          ...(i < 3 && { username })
        }))
        const found = yield* users.upsert(program, all)
        assert.deepStrictEqual(
          found.map(({ externalId }) => externalId),
          all.map(({ externalId }) => externalId)
        )
        const names = found.map((user) => user.username)
        assert.strictEqual(new Set(names).size, 4)
        assert.include(names, username)
        assert.isTrue(names.every((name) => /^[a-z0-9_.-]{3,32}$/.test(name)))
        const twice = users.upsert(program, [{ externalId: newId() }, ...all, ...all])
        assert.strictEqual(yield* refused(twice), "users")
        assert.strictEqual(yield* refused(users.upsert(program, [{ externalId: newId(), username: "ab" }])), "username")
        const [reserved] = yield* users.upsert(program, [{ externalId: newId(), username: "all" }])
        assert.match(reserved?.username ?? "", /^all-[0-9a-f]{4,24}$/)
      })
    )

    it.effect("are made by one of those who make them at the same time", () =>
      Effect.gen(function* () {
        const users = yield* ServerUsers
        const ids = Array.from({ length: 5 }, newId)
        const batches = yield* Effect.all(
          [ids, ids.toReversed(), ids, ids.toReversed()].map((order) =>
            users.upsert(
              program,
              order.map((externalId) => ({ externalId, username: "racer" }))
            )
          ),
          { concurrency: 4 }
        )
        const userIds = batches.flat().map((user) => `${user.externalId} ${user.id}`)
        assert.strictEqual(new Set(userIds).size, ids.length)
      })
    )

    it.effect("sign in with a token that a program has asked for, until they are signed out", () =>
      Effect.gen(function* () {
        const users = yield* ServerUsers
        const sessions = yield* Sessions
        const accounts = yield* AccountAdmin
        const externalId = newId()
        const [ann = assert.fail()] = yield* users.upsert(program, [{ externalId }])
        const tokenFor = (expiresInSeconds?: number) =>
          users.createToken(program, externalId, expiresInSeconds === undefined ? {} : { expiresInSeconds })
        const { accessToken, ...rest } = yield* tokenFor()
        assert.deepInclude(rest, { expiresIn: 3600, user: ann })
        assert.deepStrictEqual(yield* newestLines(1), [["server.createToken", ann.id, {}]])
        const principal = yield* sessions.authenticate(accessToken)
        assert.deepInclude(principal, { userId: ann.id, sessionId: rest.sessionId })
        const brief = yield* tokenFor(60)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* outcome(sessions.authenticate(brief.accessToken)), "token-expired")
        yield* sessions.authenticate(accessToken)
        yield* users.revoke(program, externalId)
        assert.strictEqual(yield* outcome(sessions.authenticate(accessToken)), "session-ended")
        yield* sessions.authenticate((yield* tokenFor()).accessToken)
        yield* accounts.disable("cli:ann", ann.id)
        assert.strictEqual(yield* outcome(tokenFor()), "account-disabled")
        assert.strictEqual(yield* outcome(users.createToken(program, newId(), {})), "NotFound")
        assert.strictEqual(yield* outcome(users.revoke(program, newId())), "NotFound")
      })
    )

    it.effect("are named by their external id to act as, and are others once they were deleted", () =>
      Effect.gen(function* () {
        const users = yield* ServerUsers
        const principals = yield* Principals
        const externalId = newId()
        const { token } = yield* ServiceTokens.use((tokens) =>
          tokens.create("cli:ann", { name: "a token", scopes: ["act-as"] })
        )
        const acting = principals.authenticate(token, `ext:${externalId}`)
        assert.strictEqual(yield* outcome(acting), "Forbidden")
        const [ann = assert.fail()] = yield* users.upsert(program, [{ externalId, username: "deleted.one" }])
        const [bob = assert.fail()] = yield* people(1)
        assert.strictEqual((yield* acting).userId, ann.id)
        assert.strictEqual((yield* principals.authenticate(token, bob)).userId, bob)
        yield* users.delete(program, externalId)
        assert.strictEqual(yield* outcome(acting), "Forbidden")
        assert.strictEqual(yield* outcome(users.get(externalId)), "NotFound")
        assert.strictEqual(yield* outcome(users.delete(program, externalId)), "NotFound")
        const [again = assert.fail()] = yield* users.upsert(program, [{ externalId, username: "deleted.one" }])
        assert.notStrictEqual(again.id, ann.id)
        assert.strictEqual(again.username, "deleted.one")
        assert.strictEqual((yield* acting).userId, again.id)
      })
    )
  })
}
