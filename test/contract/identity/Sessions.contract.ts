import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Duration, Effect, type Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { SignJWT, UnsecuredJWT } from "jose"
import { SessionId } from "../../../src/domain/Ids.ts"
import { PubSub, sessionsEnded } from "../../../src/services/bus/PubSub.ts"
import { sessionsSubject } from "../../../src/services/bus/Subjects.ts"
import { AccessTokens } from "../../../src/services/identity/AccessTokens.ts"
import { makeRefreshTokens } from "../../../src/services/identity/RefreshTokens.ts"
import { Sessions } from "../../../src/services/identity/Sessions.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { Settings } from "../../../src/services/platform/Settings.ts"
import { type AccountServices, signedIn, someone } from "../../support/Accounts.ts"

const outcome = <A, E extends { readonly _tag: string; readonly code?: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onFailure: (error) => error.code ?? error._tag, onSuccess: () => "ok" })

const count = (outcomes: ReadonlyArray<string>) =>
  Object.fromEntries(
    Object.entries(Object.groupBy(outcomes, (outcome) => outcome)).map(([name, all]) => [name, all?.length])
  )

const use = (accessToken: string) => Sessions.use((sessions) => outcome(sessions.authenticate(accessToken)))

/** The ids of the sessions whose end is notified from now on. */
const watchEnds = Effect.gen(function* () {
  const seen: Array<unknown> = []
  yield* Sessions.use((sessions) => sessions.onEnded((sessionIds) => void seen.push(...sessionIds)))
  return seen
})

/** The contract of every Layer of Sessions. */
export const sessionsContract = <E>(layer: Layer.Layer<AccountServices, E>) => {
  withLayer(layer)("Sessions", (it) => {
    it.effect("signs in by username or e-mail address, in any case", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { device, me, person } = yield* signedIn
        for (const login of [person.username.toUpperCase(), person.email.toUpperCase()]) {
          const tokens = yield* sessions.login({ ...device, login, password: person.password })
          assert.deepStrictEqual(tokens.user, me)
          assert.strictEqual(tokens.expiresIn, 3600)
          const principal = yield* sessions.authenticate(tokens.accessToken)
          assert.deepInclude(principal, { userId: me.id, sessionId: tokens.sessionId })
        }
      })
    )

    it.effect("answers a wrong password and an unknown account alike", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { device, person } = yield* signedIn
        const answer = (login: string) =>
          Effect.map(Effect.flip(sessions.login({ ...device, login, password: "wrong horse" })), (error) => ({
            ...error
          }))
        const wrong = yield* answer(person.username)
        assert.deepInclude(wrong, { status: 401 })
        assert.deepStrictEqual(yield* answer("nobody-at-all"), wrong)
        assert.deepStrictEqual(yield* answer("nobody@example.com"), wrong)
        assert.deepStrictEqual(yield* answer(`${person.username}@`), wrong)
      })
    )

    it.effect("accepts a password in every Unicode composition", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const person = { ...someone(), password: "Ångström №9" }
        yield* Users.use((users) => users.register(person))
        const login = { userAgent: "", ip: person.ip, login: person.username }
        const tokens = yield* sessions.login({ ...login, password: person.password.normalize("NFD") })
        assert.isString(tokens.accessToken)
      })
    )

    it.effect("an access token expires", () =>
      Effect.gen(function* () {
        const { tokens } = yield* signedIn
        yield* TestClock.adjust("3599 seconds")
        assert.strictEqual(yield* use(tokens.accessToken), "ok")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* use(tokens.accessToken), "token-expired")
        assert.strictEqual(yield* use(tokens.accessToken), "token-expired")
      })
    )

    it.effect("refuses every access token that it did not issue", () =>
      Effect.gen(function* () {
        const { jwt } = yield* Settings
        const { me, principal, tokens } = yield* signedIn
        const own = new TextEncoder().encode(jwt.secret === undefined ? "" : Redacted.value(jwt.secret))
        const iat = principal.expiresAt / 1000 - 3600
        const good = { iss: jwt.issuer, sub: me.id, sid: principal.sessionId, gen: 1, iat, exp: iat + 3600 }
        const header = { alg: "HS256", typ: "JWT" }
        const signed = (payload: object, headers: typeof header & Record<string, unknown> = header, key = own) =>
          Effect.promise(() => new SignJWT({ ...payload }).setProtectedHeader(headers).sign(key))
        const { exp: _, ...endless } = good
        const { iss: __, ...anonymous } = good
        assert.strictEqual(yield* use(yield* signed(good)), "ok", "the control: only what differs below is refused")
        const forged = [
          "",
          "x.y.z",
          tokens.refreshToken,
          `${tokens.accessToken}x`,
          new UnsecuredJWT(good).encode(),
          yield* signed(good, header, new TextEncoder().encode("another secret of more than 32 bytes!")),
          yield* signed(good, { ...header, alg: "HS512" }, Buffer.alloc(64, own)),
          yield* signed(good, { ...header, typ: "at+jwt" }),
          yield* signed(good, { ...header, kid: "1" }),
          yield* signed(good, { ...header, jku: "https://example.com/keys" }),
          yield* signed({ ...good, iss: "someone-else" }),
          yield* signed(anonymous),
          yield* signed(endless),
          yield* signed({ ...good, aud: "another service" }),
          yield* signed({ ...good, gen: "1" })
        ]
        for (const token of forged) assert.strictEqual(yield* use(token), "token-invalid", token)
        assert.strictEqual(yield* use(yield* signed({ ...good, exp: iat })), "token-expired")
        assert.strictEqual(yield* use(yield* signed({ ...good, sid: me.id })), "session-ended")
        assert.strictEqual(yield* use(yield* signed({ ...good, sub: principal.sessionId })), "session-ended")
      })
    )

    it.effect("a refresh returns new tokens, and keeps and prolongs the session", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { device, me, principal, tokens } = yield* signedIn
        yield* TestClock.adjust("10 minutes")
        const next = yield* sessions.refresh({ ...device, userAgent: "newer", refreshToken: tokens.refreshToken })
        assert.deepInclude(next, { sessionId: tokens.sessionId, user: me })
        assert.notStrictEqual(next.accessToken, tokens.accessToken)
        assert.notStrictEqual(next.refreshToken, tokens.refreshToken)
        assert.strictEqual(yield* use(tokens.accessToken), "ok")
        assert.strictEqual(yield* use(next.accessToken), "ok")
        const [session] = (yield* sessions.list(principal, { limit: 200 })).items
        assert.deepInclude(session, { userAgent: "newer", current: true })
        const lived = Date.parse(session?.expiresAt ?? "") - Date.parse(session?.createdAt ?? "")
        assert.strictEqual(lived, Duration.toMillis("30 days") + Duration.toMillis("10 minutes"))
      })
    )

    it.effect("a login beyond the limit of sessions ends the least recently used ones", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { login, principal, tokens } = yield* signedIn
        const ended = yield* watchEnds
        const others = yield* Effect.forEach(Arr.range(1, 99), () =>
          TestClock.adjust(1000).pipe(Effect.andThen(login()))
        )
        assert.isEmpty(ended)
        yield* TestClock.adjust(1000)
        const second = others[1] ?? assert.fail("no session")
        assert.strictEqual(yield* use(others[0]?.accessToken ?? ""), "ok")
        yield* login()
        yield* login()
        assert.deepStrictEqual(ended, [tokens.sessionId, second.sessionId])
        assert.strictEqual(yield* use(tokens.accessToken), "session-ended")
        assert.strictEqual(yield* use(others[0]?.accessToken ?? ""), "ok", "one that was used since is kept")
        assert.strictEqual((yield* sessions.list(principal, { limit: 200 })).items.length, 100)
      })
    )

    it.effect("limits the successful logins of each account", () =>
      Effect.gen(function* () {
        const { login } = yield* signedIn
        const outcomes = yield* Effect.forEach(Arr.range(1, 130), () => outcome(login()))
        assert.deepStrictEqual(count(outcomes), { ok: 119, RateLimited: 11 })
        assert.strictEqual(yield* outcome((yield* signedIn).login()), "ok")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* outcome(login()), "ok")
      })
    )

    it.effect("limits the refreshes of a session", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { device, login, tokens } = yield* signedIn
        let { refreshToken } = tokens
        const refresh = Effect.map(
          Effect.suspend(() => sessions.refresh({ ...device, refreshToken })),
          (next) => {
            refreshToken = next.refreshToken
          }
        )
        const outcomes = yield* Effect.forEach(Arr.range(1, 32), () => outcome(refresh))
        assert.deepStrictEqual(count(outcomes), { ok: 30, RateLimited: 2 })
        const other = yield* login()
        assert.strictEqual(yield* outcome(sessions.refresh({ ...device, refreshToken: other.refreshToken })), "ok")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* outcome(refresh), "ok", "the session goes on")
      })
    )

    it.effect("a session that is not refreshed expires", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { device, principal, tokens } = yield* signedIn
        yield* TestClock.adjust("30 days")
        const refreshed = yield* outcome(sessions.refresh({ ...device, refreshToken: tokens.refreshToken }))
        assert.strictEqual(refreshed, "Unauthenticated")
        assert.deepStrictEqual((yield* sessions.list(principal, { limit: 200 })).items, [])
      })
    )

    it.effect("refuses refresh tokens that it did not make", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { device, tokens } = yield* signedIn
        const bytes = Buffer.from(tokens.refreshToken, "base64url")
        const flipped = (index: number) =>
          Buffer.from(bytes.map((byte, at) => (at === index ? byte ^ 1 : byte))).toString("base64url")
        const forged = ["", "x", tokens.accessToken, `${tokens.refreshToken}=`, flipped(0), flipped(19), flipped(51)]
        for (const refreshToken of forged) {
          assert.strictEqual(yield* outcome(sessions.refresh({ ...device, refreshToken })), "Unauthenticated")
        }
        assert.strictEqual(yield* use(tokens.accessToken), "ok", "which ends no session")
      })
    )

    it.effect("a refresh token works again when its answer was lost, and the lost tokens do not", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { device, tokens } = yield* signedIn
        const refresh = (refreshToken: string) => sessions.refresh({ ...device, refreshToken })
        const lost = yield* refresh(tokens.refreshToken)
        yield* TestClock.adjust("60 seconds")
        const next = yield* refresh(tokens.refreshToken)
        assert.strictEqual(yield* use(lost.accessToken), "session-ended")
        assert.strictEqual(yield* use(next.accessToken), "ok")
        const later = yield* refresh(next.refreshToken)
        assert.strictEqual(yield* use(lost.accessToken), "session-ended", "for good")
        assert.strictEqual(yield* use(next.accessToken), "ok")
        assert.strictEqual(yield* use(later.accessToken), "ok")
      })
    )

    it.effect("a session that a restore of the database has put back goes on with its newest tokens", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { jwt } = yield* Settings
        const accessTokens = yield* AccessTokens
        const { device, me, tokens } = yield* signedIn
        const ends = yield* watchEnds
        const refresh = (refreshToken: string) => sessions.refresh({ ...device, refreshToken })
        const { issue } = makeRefreshTokens([jwt.secret ?? Redacted.make("")])
        // What the service has issued after the state that was restored.
        const lost = { sessionId: tokens.sessionId, generation: 4 }
        const accessToken = yield* accessTokens.issue({ ...lost, userId: me.id })
        assert.strictEqual(yield* use(accessToken), "ok")
        const next = yield* refresh(issue(lost))
        for (const good of [accessToken, next.accessToken]) assert.strictEqual(yield* use(good), "ok")
        assert.deepStrictEqual(ends, [])
        assert.strictEqual(yield* outcome(refresh(next.refreshToken)), "ok")
        // A token that was stolen before is recognised as ever.
        assert.strictEqual(yield* outcome(refresh(issue({ ...lost, generation: 3 }))), "Unauthenticated")
        assert.deepStrictEqual(ends, [tokens.sessionId])
      })
    )

    it.effect("any other reuse of a refresh token ends the session, and notifies", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const refreshed = Effect.gen(function* () {
          const user = yield* signedIn
          const refresh = (refreshToken: string) => sessions.refresh({ ...user.device, refreshToken })
          return { ...user, refresh, next: yield* refresh(user.tokens.refreshToken), ends: yield* watchEnds }
        })
        const assertReused = Effect.fnUntraced(function* (
          { ends, refresh, tokens }: Effect.Success<typeof refreshed>,
          refreshToken: string,
          good: ReadonlyArray<string>
        ) {
          for (const accessToken of good) assert.strictEqual(yield* use(accessToken), "ok")
          assert.strictEqual(yield* outcome(refresh(refreshToken)), "Unauthenticated")
          assert.deepStrictEqual(ends, [tokens.sessionId])
          for (const accessToken of good) assert.strictEqual(yield* use(accessToken), "session-ended")
          assert.strictEqual(yield* outcome(refresh(refreshToken)), "Unauthenticated")
          assert.deepStrictEqual(ends, [tokens.sessionId], "once")
        })

        const late = yield* refreshed
        yield* TestClock.adjust("60001 millis")
        yield* assertReused(late, late.tokens.refreshToken, [late.tokens.accessToken])

        const used = yield* refreshed
        yield* assertReused(used, used.tokens.refreshToken, [used.next.accessToken])

        const usedUp = yield* refreshed
        yield* usedUp.refresh(usedUp.next.refreshToken)
        yield* assertReused(usedUp, usedUp.tokens.refreshToken, [usedUp.tokens.accessToken])

        const dropped = yield* refreshed
        const again = yield* dropped.refresh(dropped.tokens.refreshToken)
        yield* assertReused(dropped, dropped.next.refreshToken, [again.accessToken])
      })
    )

    it.effect("leaves one valid pair of tokens after concurrent refreshes", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { device, tokens } = yield* signedIn
        const pairs = yield* Effect.forEach(
          Arr.range(1, 8),
          () => sessions.refresh({ ...device, refreshToken: tokens.refreshToken }),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(new Set(pairs.map(({ refreshToken }) => refreshToken)).size, 8)
        const outcomes = yield* Effect.forEach(pairs, ({ accessToken }) => use(accessToken))
        assert.deepStrictEqual(count(outcomes), { ok: 1, "session-ended": 7 })
        const good = pairs[outcomes.indexOf("ok")]
        const next = yield* sessions.refresh({ ...device, refreshToken: good?.refreshToken ?? "" })
        assert.strictEqual(yield* use(next.accessToken), "ok")
      })
    )

    it.effect("logging out ends this session at once, and notifies", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { device, login, principal, tokens } = yield* signedIn
        const other = yield* login()
        const ends = yield* watchEnds
        yield* sessions.logout(principal)
        assert.deepStrictEqual(ends, [tokens.sessionId])
        assert.strictEqual(yield* use(tokens.accessToken), "session-ended")
        assert.strictEqual(
          yield* outcome(sessions.refresh({ ...device, refreshToken: tokens.refreshToken })),
          "Unauthenticated"
        )
        assert.strictEqual(yield* use(other.accessToken), "ok")
        yield* sessions.logout(principal)
        assert.deepStrictEqual(ends, [tokens.sessionId], "once")
      })
    )

    it.effect("a signal on the bus ends no session that the database does not end", () =>
      Effect.gen(function* () {
        const { device, principal, tokens } = yield* signedIn
        const ends = yield* watchEnds
        yield* PubSub.use((bus) => bus.publish(sessionsSubject, [sessionsEnded([tokens.sessionId], true)]))
        const refreshed = yield* Sessions.use((sessions) =>
          sessions.refresh({ ...device, refreshToken: tokens.refreshToken })
        )
        assert.strictEqual(yield* use(refreshed.accessToken), "ok")
        assert.deepStrictEqual(ends, [])
        yield* Sessions.use((sessions) => sessions.logout(principal))
        assert.deepStrictEqual(ends, [tokens.sessionId])
      })
    )

    it.effect("lists my devices, newest first, and ends one of them", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { login, principal } = yield* signedIn
        const stranger = yield* signedIn
        yield* TestClock.adjust("1 second")
        const phone = yield* login("phone\ud800")
        yield* TestClock.adjust("1 second")
        yield* login("x".repeat(2000))
        const ends = yield* watchEnds
        assert.deepStrictEqual(
          (yield* sessions.list(principal, { limit: 200 })).items.map(({ current, userAgent }) => ({
            current,
            userAgent
          })),
          [
            { current: false, userAgent: "x".repeat(512) },
            { current: false, userAgent: "phone\ufffd" },
            { current: true, userAgent: "test" }
          ]
        )
        const nowhere = SessionId.make("00000000-0000-7000-8000-000000000000")
        assert.strictEqual(yield* outcome(sessions.end(stranger.principal, phone.sessionId)), "NotFound")
        assert.strictEqual(yield* outcome(sessions.end(principal, nowhere)), "NotFound")
        assert.strictEqual(yield* use(phone.accessToken), "ok")
        assert.strictEqual(yield* outcome(sessions.end(principal, phone.sessionId)), "ok")
        assert.deepStrictEqual(ends, [phone.sessionId])
        assert.strictEqual(yield* use(phone.accessToken), "session-ended")
        assert.strictEqual(yield* outcome(sessions.end(principal, phone.sessionId)), "NotFound")
        assert.strictEqual((yield* sessions.list(principal, { limit: 200 })).items.length, 2)
      })
    )

    it.effect("lists my devices page by page", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { login, principal } = yield* signedIn
        // Three of the same moment, which only their ids put in an order.
        yield* Effect.forEach(["a", "b", "c"], (agent) => login(agent))
        yield* TestClock.adjust("1 second")
        yield* login("latest")
        const whole = yield* sessions.list(principal, { limit: 200 })
        assert.isUndefined(whole.nextCursor)
        assert.lengthOf(whole.items, 5)
        const first = yield* sessions.list(principal, { limit: 2 })
        const second = yield* sessions.list(principal, { limit: 2, cursor: first.nextCursor })
        const last = yield* sessions.list(principal, { limit: 2, cursor: second.nextCursor })
        assert.deepStrictEqual([...first.items, ...second.items, ...last.items], whole.items)
        assert.isUndefined(last.nextCursor)
        const refused = [{ limit: 201 }, { limit: 0 }, { limit: 2, cursor: "nonsense" }]
        for (const page of refused)
          assert.strictEqual(yield* outcome(sessions.list(principal, page)), "InvalidRequest", JSON.stringify(page))
      })
    )

    it.effect("changing the password ends every other session, and notifies", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { device, login, person, principal, tokens } = yield* signedIn
        const others = [yield* login(), yield* login()]
        const ends = yield* watchEnds
        const change = (currentPassword: string, newPassword: string) =>
          outcome(sessions.changePassword(principal, { currentPassword, newPassword }))
        assert.strictEqual(yield* change("wrong horse", "battery staple"), "Forbidden")
        assert.strictEqual(yield* change(person.password, "short"), "InvalidRequest")
        assert.strictEqual(yield* use(others[0]?.accessToken ?? ""), "ok")
        assert.strictEqual(yield* change(person.password, "battery staple"), "ok")
        assert.sameMembers(
          ends,
          others.map(({ sessionId }) => sessionId)
        )
        for (const { accessToken } of others) assert.strictEqual(yield* use(accessToken), "session-ended")
        assert.strictEqual(yield* use(tokens.accessToken), "ok")
        assert.strictEqual(yield* outcome(login()), "Unauthenticated")
        const again = sessions.login({ ...device, login: person.username, password: "battery staple" })
        assert.strictEqual(yield* outcome(again), "ok")
      })
    )

    it.effect("no login with the old password outlives its change", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        for (const round of Arr.range(1, 5)) {
          const { login, person, principal, tokens } = yield* signedIn
          const change = { currentPassword: person.password, newPassword: "battery staple" }
          const logins = Arr.replicate(outcome(login()), 6)
          const [changed] = yield* Effect.all(
            [
              outcome(sessions.changePassword(principal, change)),
              Effect.all(logins, { concurrency: "unbounded" }),
              Effect.andThen(Effect.yieldNow, Effect.all(logins, { concurrency: "unbounded" }))
            ],
            { concurrency: "unbounded" }
          )
          assert.strictEqual(changed, "ok")
          const living = (yield* sessions.list(principal, { limit: 200 })).items.map(({ id }) => id)
          assert.deepStrictEqual(living, [tokens.sessionId], `round ${round}`)
        }
      })
    )

    it.effect("lets one of two concurrent password changes win", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { person, principal } = yield* signedIn
        const change = (newPassword: string) =>
          outcome(sessions.changePassword(principal, { currentPassword: person.password, newPassword }))
        const outcomes = yield* Effect.forEach(["battery staple", "staple battery"], change, { concurrency: 2 })
        assert.deepStrictEqual(count(outcomes), { ok: 1, Forbidden: 1 })
      })
    )

    it.effect("limits the failures of a login, whether the account exists or not, and no successes", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { device, login, person } = yield* signedIn
        const bystander = yield* signedIn
        yield* Effect.forEach(Arr.range(1, 15), () => login(), { concurrency: "unbounded" })
        for (const name of [person.username, `unknown-${person.username}`]) {
          const attempt = sessions.login({ ...device, login: name, password: "wrong horse" })
          const outcomes = yield* Effect.forEach(Arr.range(1, 25), () => outcome(attempt), {
            concurrency: "unbounded"
          })
          assert.deepStrictEqual(count(outcomes), { Unauthenticated: 10, RateLimited: 15 }, name)
          const limited = yield* Effect.flip(attempt)
          assert.strictEqual(limited._tag === "RateLimited" && limited.retryAfterMs, 60_000)
        }
        assert.strictEqual(yield* outcome(login()), "RateLimited")
        assert.strictEqual(yield* outcome(bystander.login()), "ok")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* outcome(login()), "ok")
      })
    )

    it.effect("limits the failures of an address, over all logins", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { login, person } = yield* signedIn
        const guess = (name: string, ip: string) =>
          outcome(sessions.login({ userAgent: "", ip, login: name, password: "wrong horse" }))
        const outcomes = yield* Effect.forEach(Arr.range(1, 110), (n) => guess(`guess-${n}@x`, person.ip))
        assert.deepStrictEqual(count(outcomes), { Unauthenticated: 100, RateLimited: 10 })
        assert.strictEqual(yield* outcome(login()), "RateLimited")
        assert.strictEqual(yield* guess("guess-101@x", "192.0.2.1"), "Unauthenticated")
      })
    )

    it.effect("lets the owner of an account in, however many passwords somebody guesses from another address", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { login, person } = yield* signedIn
        const guess = sessions.login({
          userAgent: "",
          ip: "192.0.2.7",
          login: person.username,
          password: "wrong horse"
        })
        const outcomes = yield* Effect.forEach(Arr.range(1, 12), () => outcome(guess))
        assert.deepStrictEqual(count(outcomes), { Unauthenticated: 10, RateLimited: 2 })
        assert.strictEqual(yield* outcome(login()), "ok")
        const elsewhere = { userAgent: "", ip: "192.0.2.8", login: person.username, password: person.password }
        assert.strictEqual(yield* outcome(sessions.login(elsewhere)), "ok", "from a new address of the user")
      })
    )

    it.effect("bounds the failures of an account from all addresses, and keeps a lane for those that signed in", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { login, person } = yield* signedIn
        const outcomes: Array<string> = []
        for (const second of Arr.range(1, 180)) {
          for (const half of [0, 1]) {
            const ip = `198.51.100.${(second * 2 + half) % 40}`
            const guess = { userAgent: "", ip, login: person.username, password: "wrong horse" }
            outcomes.push(yield* outcome(sessions.login(guess)))
          }
          assert.strictEqual(yield* outcome(login()), "ok", `in second ${second}`)
          yield* TestClock.adjust("1 second")
        }
        const guesses = count(outcomes)
        assert.isAtMost(guesses.Unauthenticated ?? 0, 3 * 60)
        assert.strictEqual((guesses.Unauthenticated ?? 0) + (guesses.RateLimited ?? 0), 360)
        const mistaken = { userAgent: "", ip: person.ip, login: person.username, password: "wrong horse" }
        const own = yield* Effect.forEach(Arr.range(1, 12), () => outcome(sessions.login(mistaken)))
        assert.deepStrictEqual(count(own), { Unauthenticated: 10, RateLimited: 2 }, "the lane has its bound too")
      })
    )

    it.effect("keeps the lane of an address after its sessions have ended", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { login, person, principal } = yield* signedIn
        yield* sessions.logout(principal)
        for (const n of Arr.range(1, 70)) {
          const guess = { userAgent: "", ip: `203.0.113.${n}`, login: person.username, password: "wrong horse" }
          assert.strictEqual(yield* outcome(sessions.login(guess)), n <= 60 ? "Unauthenticated" : "RateLimited")
        }
        assert.strictEqual(yield* outcome(login()), "ok")
      })
    )

    it.effect("counts a username and an e-mail address apart, so that nobody learns that they belong together", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { device, person } = yield* signedIn
        const guess = (login: string) => outcome(sessions.login({ ...device, login, password: "wrong horse" }))
        yield* Effect.forEach(Arr.range(1, 11), () => guess(person.username))
        assert.strictEqual(yield* guess(person.username), "RateLimited")
        assert.strictEqual(yield* guess(person.email), "Unauthenticated")
      })
    )

    it.effect("lets somebody who goes on guessing wait longer each time", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { device, person } = yield* signedIn
        const attempt = sessions.login({ ...device, login: person.username, password: "wrong horse" })
        const waits: Array<number> = []
        while (waits.length < 4) {
          const error = yield* Effect.flip(attempt)
          if (error._tag !== "RateLimited") continue
          waits.push(Math.ceil(error.retryAfterMs / 60_000))
          yield* TestClock.adjust(error.retryAfterMs)
        }
        assert.deepStrictEqual(waits, [1, 9, 1, 49])
      })
    )

    it.effect("limits wrong current passwords", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { principal } = yield* signedIn
        const change = { currentPassword: "wrong horse", newPassword: "battery staple" }
        const outcomes = yield* Effect.forEach(Arr.range(1, 12), () =>
          outcome(sessions.changePassword(principal, change))
        )
        assert.deepStrictEqual(count(outcomes), { Forbidden: 10, RateLimited: 2 })
      })
    )
  })
}
