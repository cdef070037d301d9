import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { TestClock } from "effect/testing"
import { ExternalId, ExternalKey } from "../../../src/domain/ExternalId.ts"
import { ServiceTokenId, type UserId } from "../../../src/domain/Ids.ts"
import { AccountAdmin } from "../../../src/services/admin/AccountAdmin.ts"
import { Audit } from "../../../src/services/admin/Audit.ts"
import { PasswordResets } from "../../../src/services/admin/PasswordResets.ts"
import { Principals } from "../../../src/services/admin/Principals.ts"
import { ServerConversations } from "../../../src/services/admin/ServerConversations.ts"
import { ServerUsers } from "../../../src/services/admin/ServerUsers.ts"
import { ServiceTokens } from "../../../src/services/admin/ServiceTokens.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Guests } from "../../../src/services/conversations/Guests.ts"
import { Invites } from "../../../src/services/conversations/Invites.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import { Sessions } from "../../../src/services/identity/Sessions.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { groupOf, outcome, people, refused } from "../../support/Chat.ts"
import type { Operators } from "../../support/Operators.ts"

const program = ServiceTokenId.make("00000000-0000-7000-8000-00000000000a")
const actor = `token:${program}` as const
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
          Effect.map(users.upsert(actor, [{ externalId, ...profile }]), ([user = assert.fail()]) => user)
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
        const found = yield* users.upsert(actor, all)
        assert.deepStrictEqual(
          found.map(({ externalId }) => externalId),
          all.map(({ externalId }) => externalId)
        )
        const names = found.map((user) => user.username)
        assert.strictEqual(new Set(names).size, 4)
        assert.include(names, username)
        assert.isTrue(names.every((name) => /^[a-z0-9_.-]{3,32}$/.test(name)))
        const twice = users.upsert(actor, [{ externalId: newId() }, ...all, ...all])
        assert.strictEqual(yield* refused(twice), "users")
        assert.strictEqual(yield* refused(users.upsert(actor, [{ externalId: newId(), username: "ab" }])), "username")
        const [reserved] = yield* users.upsert(actor, [{ externalId: newId(), username: "all" }])
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
              actor,
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
        const [ann = assert.fail()] = yield* users.upsert(actor, [{ externalId }])
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

    it.effect("may be bots, which have tokens of their own until they are signed out, and never a password", () =>
      Effect.gen(function* () {
        const users = yield* ServerUsers
        const principals = yield* Principals
        const tokens = yield* ServiceTokens
        const sessions = yield* Sessions
        const externalId = newId()
        const [bot = assert.fail()] = yield* users.upsert(actor, [{ externalId, username: `bot${made}`, kind: "bot" }])
        assert.strictEqual(bot.kind, "bot")
        assert.strictEqual((yield* Users.use((all) => all.get(bot.id))).kind, "bot")
        // A kind is for ever.
        assert.deepStrictEqual(yield* users.upsert(actor, [{ externalId, kind: "human" }]), [bot])
        const make = users.createBotToken(actor, externalId, { name: "a bot" })
        const { token, ...shown } = yield* make
        assert.match(token, /^cbt_[0-9A-Za-z]{46}$/)
        assert.deepInclude(shown, { name: "a bot", scopes: [], botId: bot.id, createdBy: actor, expiresAt: null })
        const { items } = yield* tokens.list({ limit: 1 })
        assert.deepStrictEqual(items, [shown])
        const principal = yield* principals.authenticate(token, undefined)
        assert.deepInclude(principal, { userId: bot.id, serviceTokenId: shown.id, isBot: true })
        assert.strictEqual(yield* outcome(tokens.authenticate(token)), "token-invalid")
        assert.strictEqual(yield* outcome(principals.authenticate(token, bot.id)), "token-invalid")
        assert.strictEqual(yield* outcome(principals.authenticate(`${token}x`, undefined)), "token-invalid")

        const password = "correct horse battery"
        yield* PasswordResets.use((resets) => resets.set(actor, bot.id, password))
        const login = sessions.login({ login: bot.username, password, userAgent: "", ip: "10.0.0.1" })
        assert.strictEqual(yield* outcome(login), "Unauthenticated")

        yield* AccountAdmin.use((accounts) => accounts.disable(actor, bot.id))
        assert.strictEqual(yield* outcome(principals.authenticate(token, undefined)), "account-disabled")
        assert.strictEqual(yield* outcome(principals.check(principal)), "session-ended")
        yield* AccountAdmin.use((accounts) => accounts.enable(actor, bot.id))
        yield* principals.check(principal)
        yield* users.revoke(program, externalId)
        assert.deepStrictEqual(yield* newestLines(1), [
          ["admin.endSessions", bot.id, { endedSessions: 0, revokedTokens: 1 }]
        ])
        assert.strictEqual(yield* outcome(principals.authenticate(token, undefined)), "token-invalid")
        assert.strictEqual(yield* outcome(principals.check(principal)), "session-ended")
        const last = yield* make
        yield* principals.authenticate(last.token, undefined)
        yield* users.delete(program, externalId)
        assert.strictEqual(yield* outcome(principals.authenticate(last.token, undefined)), "token-invalid")
        assert.strictEqual(yield* outcome(make), "NotFound")
        const person = newId()
        yield* users.upsert(actor, [{ externalId: person }])
        assert.strictEqual(yield* outcome(users.createBotToken(actor, person, { name: "no bot" })), "not-a-bot")
      })
    )

    it.effect("of different teams are not there for each other, unless they share a conversation", () =>
      Effect.gen(function* () {
        const users = yield* ServerUsers
        const all = yield* Users
        const conversations = yield* Conversations
        const members = yield* Members
        const accounts = yield* AccountAdmin
        const prefix = `team${made}`
        let named = 0
        const inTeam = Effect.fnUntraced(function* (team: string | null, externalId = newId()) {
          const [user = assert.fail()] = yield* users.upsert(actor, [
            { externalId, username: `${prefix}-${++named}`, displayName: prefix, team }
          ])
          return user
        })
        const leaving = newId()
        const me = yield* inTeam("one")
        const other = yield* inTeam("two", leaving)
        const colleague = yield* inTeam("one")
        const helper = yield* inTeam(null)
        assert.deepStrictEqual([me.team, helper.team], ["one", null])
        const group = yield* groupOf(me.id)
        const found = (viewerId: UserId) =>
          Effect.map(all.search({ query: prefix, viewerId, limit: 10 }), ({ items }) => items.map(({ id }) => id))
        const asked = (id: UserId) =>
          Effect.all([
            outcome(all.look(me.id, id)),
            outcome(conversations.create(me.id, { kind: "group", title: "Group", memberIds: [id] })),
            outcome(members.add(me.id, group, [id]))
          ])
        const refused = ["NotFound", "NotFound", "NotFound"]
        assert.deepStrictEqual(yield* asked(other.id), refused)
        assert.strictEqual(yield* outcome(conversations.create(me.id, { kind: "dm", userId: other.id })), "NotFound")
        for (const known of [colleague, helper]) assert.deepStrictEqual(yield* asked(known.id), ["ok", "ok", "ok"])
        assert.deepStrictEqual(yield* found(me.id), [me.id, colleague.id, helper.id])
        assert.deepStrictEqual(yield* found(other.id), [other.id, helper.id])
        assert.deepStrictEqual(yield* found(helper.id), [me.id, other.id, colleague.id, helper.id])
        const page = yield* all.search({ query: prefix, viewerId: me.id, limit: 2 })
        const rest = yield* all.search({ query: prefix, viewerId: me.id, limit: 2, cursor: page.nextCursor })
        assert.deepStrictEqual(
          [...page.items, ...rest.items].map(({ id }) => id),
          [me.id, colleague.id, helper.id]
        )

        // Whoever is of no team may bring them together, and so may the application.
        const shared = yield* groupOf(helper.id, me.id, other.id)
        assert.deepStrictEqual(yield* found(me.id), [me.id, other.id, colleague.id, helper.id])
        assert.deepStrictEqual(yield* asked(other.id), ["ok", "ok", "ok"])
        for (const { conversationId } of (yield* conversations.memberships(other.id)).memberships)
          if (conversationId !== shared) yield* members.leave(other.id, conversationId)
        yield* members.leave(other.id, shared)
        // The messages of who has left are still there, and so is the profile.
        assert.deepStrictEqual(yield* asked(other.id), ["ok", "NotFound", "NotFound"])
        assert.deepStrictEqual(yield* found(me.id), [me.id, colleague.id, helper.id])
        // With so many of the same name, a search looks through the members of conversations instead.
        yield* users.upsert(
          actor,
          Array.from({ length: 101 }, (_, n) => ({
            externalId: newId(),
            username: `${prefix}.${n}`,
            displayName: prefix,
            team: "four"
          }))
        )
        assert.deepStrictEqual(yield* found(me.id), [me.id, colleague.id, helper.id])
        yield* members.leave(me.id, yield* groupOf(helper.id, me.id, other.id))
        assert.deepStrictEqual(yield* asked(other.id), ["ok", "NotFound", "NotFound"])
        assert.deepStrictEqual(yield* found(me.id), [me.id, colleague.id, helper.id])
        assert.strictEqual((yield* inTeam("one", leaving)).team, "one")
        assert.deepStrictEqual((yield* asked(other.id)).slice(1), ["ok", "ok"])

        const key = ExternalKey.make(`teams ${made}`)
        const far = yield* inTeam("three")
        const put = ServerConversations.use((groups) =>
          groups.upsert(program, key, { title: "Order", memberIds: [me.id, far.id] })
        )
        assert.strictEqual((yield* put).memberCount, 2)
        assert.strictEqual(yield* outcome(conversations.create(me.id, { kind: "dm", userId: far.id })), "ok")
        assert.deepStrictEqual(yield* found(me.id), [me.id, other.id, colleague.id, helper.id, far.id])

        const { code } = yield* Invites.use((invites) => invites.create(me.id, group, { guests: true }))
        const { user: guest } = yield* Guests.use((guests) =>
          guests.join(code, { displayName: "Gus", userAgent: "test", ip: "10.3.0.1" })
        )
        assert.strictEqual((yield* accounts.get(guest.id)).team, "one")
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
        const [ann = assert.fail()] = yield* users.upsert(actor, [{ externalId, username: "deleted.one" }])
        const [bob = assert.fail()] = yield* people(1)
        assert.strictEqual((yield* acting).userId, ann.id)
        assert.strictEqual((yield* principals.authenticate(token, bob)).userId, bob)
        yield* users.delete(program, externalId)
        assert.strictEqual(yield* outcome(acting), "Forbidden")
        assert.strictEqual(yield* outcome(users.get(externalId)), "NotFound")
        assert.strictEqual(yield* outcome(users.delete(program, externalId)), "NotFound")
        const [again = assert.fail()] = yield* users.upsert(actor, [{ externalId, username: "deleted.one" }])
        assert.notStrictEqual(again.id, ann.id)
        assert.strictEqual(again.username, "deleted.one")
        assert.strictEqual((yield* acting).userId, again.id)
      })
    )
  })
}
