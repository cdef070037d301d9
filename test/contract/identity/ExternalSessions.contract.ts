import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Clock, Effect, type Layer } from "effect"
import { TestClock } from "effect/testing"
import { usernamesFor } from "../../../src/services/identity/issuers/Profiles.ts"
import { Sessions } from "../../../src/services/identity/Sessions.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import type { TestIssuer } from "../../../src/testing/TestIssuer.ts"
import { type AccountServices, signedIn, someone } from "../../support/Accounts.ts"
import { Issuers } from "../../support/Issuers.ts"

const device = { userAgent: "app/1.0", ip: "10.0.0.1" }

const authenticate = (token: string) => Sessions.use((sessions) => sessions.authenticate(token, device))

const outcome = <A, E extends { readonly _tag: string; readonly code?: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onFailure: (error) => error.code ?? error._tag, onSuccess: () => "ok" })

const use = (token: string) => outcome(authenticate(token))

const me = (token: string) =>
  Effect.flatMap(authenticate(token), ({ userId }) => Users.use((users) => users.me(userId)))

type Claims = Parameters<TestIssuer["Service"]["sign"]>[0]

/** Signs a token as the app does. */
const app = (claims: Claims) => Issuers.use(({ app: issuer }) => issuer.sign(claims))

let number = 0
const newSubject = () => `subject-${number++}`

/** The contract of every Layer of Sessions for the tokens of issuers. */
export const externalSessionsContract = <E>(layer: Layer.Layer<AccountServices | Issuers, E>) => {
  withLayer(layer)("Sessions of external tokens", (it) => {
    it.effect("the first use of a token makes its user and begins a session, and later ones change nothing", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const sub = newSubject()
        const token = yield* app({
          sub,
          sid: "device-1",
          preferred_username: "Ann.Smith@example.com",
          name: " Ann\nSmith ",
          picture: "https://app.example.com/ann.png",
          email: "ann@example.com"
        })
        const principal = yield* authenticate(token)
        assert.deepInclude(yield* me(token), {
          username: "ann.smith",
          displayName: "Ann Smith",
          avatarUrl: "https://app.example.com/ann.png",
          email: "ann@example.com"
        })
        yield* TestClock.adjust("10 minutes")
        assert.deepStrictEqual(yield* authenticate(token), principal)
        const [session, ...others] = (yield* sessions.list(principal, { limit: 200 })).items
        assert.isEmpty(others)
        assert.deepInclude(session, { id: principal.sessionId, current: true, ...device })
        assert.strictEqual(session?.lastUsedAt, session?.createdAt)
      })
    )

    it.effect("a user is the subject of an issuer, whatever the e-mail address", () =>
      Effect.gen(function* () {
        const { app, once, other } = yield* Issuers
        const known = yield* signedIn
        const claims = { sub: newSubject(), email: known.me.email, preferred_username: known.me.username }
        const ids = yield* Effect.forEach([app, other, once, app], (issuer) =>
          Effect.flatMap(issuer.sign(claims), (token) => Effect.map(authenticate(token), ({ userId }) => userId))
        )
        assert.strictEqual(ids[3], ids[0])
        assert.strictEqual(new Set([known.me.id, ...ids]).size, 4)
        const login = { ...device, login: known.person.email, password: known.person.password }
        const { user } = yield* Sessions.use((sessions) => sessions.login(login))
        assert.strictEqual(user.id, known.me.id, "the address is a login of its own account alone")
      })
    )

    it.effect("a name never makes a sign-in fail", () =>
      Effect.gen(function* () {
        const names = ["everyone", "x", "", "@", "李小龙", "a".repeat(200), "Zoë Ünal", "--", "\u0000\ud800", "..a"]
        const given = yield* Effect.forEach([...names, "same", "same", "same"], (name) =>
          Effect.flatMap(app({ sub: newSubject(), preferred_username: name, name }), me)
        )
        assert.strictEqual(new Set(given.map(({ username }) => username)).size, given.length)
        for (const { displayName, username } of given) {
          assert.match(username, /^[a-z0-9_.-]{3,32}$/)
          assert.match(displayName, /\S/)
        }
        assert.include(
          given.map(({ username }) => username),
          "zoe-unal"
        )
        const odd = yield* app({ sub: newSubject(), name: 5, picture: "javascript:alert(1)", email: ["x"] })
        assert.deepInclude(yield* me(odd), { avatarUrl: null, email: "" })
      })
    )

    it.effect("usernames that were taken on purpose make no sign-in fail", () =>
      Effect.gen(function* () {
        const { issuer } = (yield* Issuers).app
        const sub = newSubject()
        const taken = usernamesFor("victim", [issuer, sub], { min: 3, max: 32 })
        for (const username of taken) yield* Users.use((users) => users.register({ ...someone(), username }))
        const { username } = yield* me(yield* app({ sub, preferred_username: "victim" }))
        assert.notInclude(taken, username)
        assert.match(username, /^[a-z0-9_.-]{16,32}$/)
      })
    )

    it.effect("the profile follows the claims of newer tokens, unless it is taken over once", () =>
      Effect.gen(function* () {
        const { app, once } = yield* Issuers
        const sub = newSubject()
        const nameOf = (issuer: TestIssuer["Service"], claims: object) =>
          Effect.map(Effect.flatMap(issuer.sign({ sub, ...claims }), me), ({ displayName }) => displayName)
        yield* TestClock.adjust("1 minute")
        const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
        assert.strictEqual(yield* nameOf(app, { name: "Ann" }), "Ann")
        assert.strictEqual(yield* nameOf(app, { name: "Anna", jti: "2" }), "Anna")
        assert.strictEqual(yield* nameOf(app, { name: "Ann", iat: now - 5, jti: "old" }), "Anna", "an older token")
        assert.strictEqual(yield* nameOf(app, { iat: now + 2 }), "Anna", "no name")
        assert.strictEqual(yield* nameOf(once, { name: "Ann" }), "Ann")
        assert.strictEqual(yield* nameOf(once, { name: "Anna", jti: "2" }), "Ann")
      })
    )

    it.effect("the team follows the claims of newer tokens, also where the profile is taken over once", () =>
      Effect.gen(function* () {
        const { once } = yield* Issuers
        const users = yield* Users
        const sub = newSubject()
        yield* TestClock.adjust("1 minute")
        const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
        const { userId: other } = yield* Effect.flatMap(once.sign({ sub: newSubject(), team: "one" }), authenticate)
        let tokens = 0
        /** Whether the user of the other team is there for the user of a token. */
        const seen = (claims: object) =>
          once.sign({ sub, jti: `team-${tokens++}`, ...claims }).pipe(
            Effect.flatMap(authenticate),
            Effect.flatMap(({ userId }) => outcome(users.look(userId, other)))
          )
        assert.strictEqual(yield* seen({}), "ok", "no team")
        assert.strictEqual(yield* seen({ team: "two" }), "NotFound")
        assert.strictEqual(yield* seen({}), "NotFound", "no claim")
        assert.strictEqual(yield* seen({ team: "one", iat: now - 5 }), "NotFound", "an older token")
        for (const team of [["one"], 1, "", "x".repeat(256), "a\0"])
          assert.strictEqual(yield* use(yield* once.sign({ sub, jti: `bad-${tokens++}`, team })), "token-invalid")
        assert.strictEqual(yield* seen({ team: null }), "NotFound", "no team in the claim")
        assert.strictEqual(yield* seen({ team: "one" }), "ok")
      })
    )

    it.effect("a claim of another form is no team where the settings do not name the claim", () =>
      Effect.gen(function* () {
        const { app: issuer, once } = yield* Issuers
        const users = yield* Users
        const { userId: other } = yield* Effect.flatMap(once.sign({ sub: newSubject(), team: "one" }), authenticate)
        const sub = newSubject()
        let tokens = 0
        const seen = (team: unknown) =>
          issuer.sign({ sub, jti: `team-${tokens++}`, team }).pipe(
            Effect.flatMap(authenticate),
            Effect.flatMap(({ userId }) => outcome(users.look(userId, other)))
          )
        const others = [["one"], { name: "sales" }, 1, "", "x".repeat(256), "a\0"]
        for (const team of others) assert.strictEqual(yield* seen(team), "ok")
        assert.strictEqual(yield* seen("two"), "NotFound")
        for (const team of others) assert.strictEqual(yield* seen(team), "NotFound", "the team stays as it is")
      })
    )

    it.effect("a subject that may not be made is refused", () =>
      Effect.gen(function* () {
        const { existing } = yield* Issuers
        const token = yield* existing.sign({ sub: newSubject() })
        for (const _ of [1, 2]) assert.strictEqual(yield* use(token), "not-provisioned")
      })
    )

    it.effect("an ended session stays ended, for all of its tokens", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const sub = newSubject()
        const [first, second] = [yield* app({ sub, sid: "a", jti: "1" }), yield* app({ sub, sid: "a", jti: "2" })]
        const [other, byId] = [yield* app({ sub, sid: "b" }), yield* app({ sub, jti: "1" })]
        const bare = yield* app({ sub })
        const principal = yield* authenticate(first)
        assert.strictEqual((yield* authenticate(second)).sessionId, principal.sessionId)
        for (const token of [other, byId, bare]) assert.strictEqual(yield* use(token), "ok")
        assert.lengthOf((yield* sessions.list(principal, { limit: 200 })).items, 4)
        yield* sessions.logout(principal)
        assert.strictEqual(yield* use(first), "session-ended")
        assert.strictEqual(yield* use(second), "session-ended")
        assert.strictEqual(yield* use(yield* app({ sub, sid: "a", jti: "3" })), "session-ended")
        for (const token of [other, byId, bare]) assert.strictEqual(yield* use(token), "ok")
        yield* sessions.logout(yield* authenticate(bare))
        assert.strictEqual(yield* use(bare), "session-ended")
        // The signature of ECDSA has a twin that is as valid: (r, n - s).
        const [header, payload, signature = ""] = bare.split(".")
        const n = BigInt("0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
        const bytes = Buffer.from(signature, "base64url").toString("hex")
        const twin = bytes.slice(0, 64) + (n - BigInt(`0x${bytes.slice(64)}`)).toString(16).padStart(64, "0")
        const forged = [header, payload, Buffer.from(twin, "hex").toString("base64url")].join(".")
        assert.strictEqual(yield* use(forged), "session-ended")
      })
    )

    it.effect("the same sid of two users is two sessions", () =>
      Effect.gen(function* () {
        const [one, two] = [
          yield* app({ sub: newSubject(), sid: "shared" }),
          yield* app({ sub: newSubject(), sid: "shared" })
        ]
        const principal = yield* authenticate(one)
        assert.notStrictEqual((yield* authenticate(two)).sessionId, principal.sessionId)
        yield* Sessions.use((sessions) => sessions.logout(principal))
        assert.strictEqual(yield* use(two), "ok")
      })
    )

    it.effect("a session lasts as long as its latest token", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const sub = newSubject()
        const first = yield* app({ sub, sid: "long" })
        const principal = yield* authenticate(first)
        yield* TestClock.adjust("30 minutes")
        const second = yield* app({ sub, sid: "long" })
        assert.strictEqual(yield* use(second), "ok")
        yield* TestClock.adjust("31 minutes")
        assert.strictEqual(yield* use(first), "token-expired")
        yield* sessions.check(principal)
        yield* TestClock.adjust("30 minutes")
        assert.strictEqual(yield* outcome(sessions.check(principal)), "session-ended")
        assert.strictEqual(yield* use(yield* app({ sub, sid: "long" })), "ok", "which a new token prolongs")
      })
    )

    it.effect("many nodes that see a new user at once make one", () =>
      Effect.gen(function* () {
        const sub = newSubject()
        const tokens = yield* Effect.forEach(Arr.range(1, 20), (sid) => app({ sub, sid: `${sid}`, name: "Twenty" }))
        const principals = yield* Effect.forEach([...tokens, ...tokens], authenticate, { concurrency: "unbounded" })
        assert.strictEqual(new Set(principals.map(({ userId }) => userId)).size, 1)
        assert.strictEqual(new Set(principals.map(({ sessionId }) => sessionId)).size, 20)
      })
    )

    it.effect("the sessions of a user are bounded", () =>
      Effect.gen(function* () {
        const sub = newSubject()
        const tokens = yield* Effect.forEach(Arr.range(1, 101), (sid) => app({ sub, sid: `${sid}` }))
        for (const token of tokens) {
          yield* TestClock.adjust(1)
          assert.strictEqual(yield* use(token), "ok")
        }
        const [first = "", second = ""] = tokens
        assert.strictEqual(yield* use(first), "session-ended")
        assert.strictEqual(yield* use(second), "ok")
      })
    )

    it.effect("a session that is used is not idle, and its use is noted once a day", () =>
      Effect.gen(function* () {
        const { other } = yield* Issuers
        const sessions = yield* Sessions
        const sub = newSubject()
        const sign = (sid: string) => other.sign({ sub, sid }, { expiresInSeconds: 14 * 24 * 3600 })
        const used = yield* sign("used")
        const principal = yield* authenticate(used)
        const lastUsed = Effect.map(sessions.list(principal, { limit: 200 }), ({ items: list }) =>
          list.filter(({ id }) => id === principal.sessionId).map(({ lastUsedAt }) => lastUsedAt)
        )
        const [begun] = yield* lastUsed
        yield* TestClock.adjust("1 hour")
        const idle = yield* Effect.forEach(Arr.range(1, 99), (sid) => sign(`${sid}`))
        for (const token of idle) {
          yield* TestClock.adjust(1)
          assert.strictEqual(yield* use(token), "ok")
        }
        yield* TestClock.adjust("22 hours")
        assert.strictEqual(yield* use(used), "ok")
        assert.deepStrictEqual(yield* lastUsed, [begun])
        yield* TestClock.adjust("2 hours")
        assert.strictEqual(yield* use(used), "ok")
        assert.notDeepEqual(yield* lastUsed, [begun])
        assert.strictEqual(yield* use(yield* sign("new")), "ok")
        const [first = "", second = ""] = idle
        assert.strictEqual(yield* use(first), "session-ended")
        for (const token of [used, second]) assert.strictEqual(yield* use(token), "ok")
      })
    )

    it.effect("an external user has no password", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const token = yield* app({ sub: newSubject(), preferred_username: "no-password" })
        const principal = yield* authenticate(token)
        for (const password of ["", "plain:"]) {
          const login = sessions.login({ ...device, login: "no-password", password })
          assert.strictEqual(yield* outcome(login), "Unauthenticated")
          const change = sessions.changePassword(principal, {
            currentPassword: password,
            newPassword: "battery staple"
          })
          assert.strictEqual(yield* outcome(change), "Forbidden")
        }
      })
    )
  })
}
