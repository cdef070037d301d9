import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Duration, Effect, type Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { SignJWT, UnsecuredJWT } from "jose"
import { SessionId } from "../../src/domain/Ids.ts"
import { Sessions } from "../../src/services/Sessions.ts"
import { Settings } from "../../src/services/Settings.ts"
import { Users } from "../../src/services/Users.ts"
import { type Accounts, signedIn, someone } from "../support/Accounts.ts"

const outcome = <A, E extends { readonly _tag: string; readonly code?: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onFailure: (error) => error.code ?? error._tag, onSuccess: () => "ok" })

const count = (outcomes: ReadonlyArray<string>) =>
  Object.fromEntries(
    Object.entries(Object.groupBy(outcomes, (outcome) => outcome)).map(([name, all]) => [name, all?.length])
  )

const use = (accessToken: string) => Sessions.use((sessions) => outcome(sessions.authenticate(accessToken)))

/** The ids of the sessions whose end is told from now on. */
const watchEnds = Effect.gen(function* () {
  const seen: Array<unknown> = []
  yield* Sessions.use((sessions) => sessions.onEnded((sessionIds) => void seen.push(...sessionIds)))
  return seen
})

/** What every Layer of Sessions keeps. */
export const sessionsContract = <E>(layer: Layer.Layer<Accounts, E>) => {
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

    it.effect("a wrong password and an unknown account are the same answer", () =>
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

    it.effect("takes a password however it was composed", () =>
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

    it.effect("refuses every token that it did not issue", () =>
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
        assert.strictEqual(yield* use(yield* signed({ ...good, gen: 2 })), "session-ended")
        assert.strictEqual(yield* use(yield* signed({ ...good, sid: me.id })), "session-ended")
        assert.strictEqual(yield* use(yield* signed({ ...good, sub: principal.sessionId })), "session-ended")
      })
    )

    it.effect("a refresh gives new tokens, keeps the session and prolongs it", () =>
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
        const [session] = yield* sessions.list(principal)
        assert.deepInclude(session, { userAgent: "newer", current: true })
        const lived = Date.parse(session?.expiresAt ?? "") - Date.parse(session?.createdAt ?? "")
        assert.strictEqual(lived, Duration.toMillis("30 days") + Duration.toMillis("10 minutes"))
      })
    )

    it.effect("a session that is not refreshed expires", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { device, principal, tokens } = yield* signedIn
        yield* TestClock.adjust("30 days")
        const refreshed = yield* outcome(sessions.refresh({ ...device, refreshToken: tokens.refreshToken }))
        assert.strictEqual(refreshed, "Unauthenticated")
        assert.deepStrictEqual(yield* sessions.list(principal), [])
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

    it.effect("after a lost answer the same refresh token works again, in place of what was lost", () =>
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

    it.effect("any other reuse of a refresh token ends the session, and tells", () =>
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

    it.effect("of refreshes at the same time one pair is good in the end", () =>
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

    it.effect("logging out ends this session at once, and tells", () =>
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
          (yield* sessions.list(principal)).map(({ current, userAgent }) => ({ current, userAgent })),
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
        assert.strictEqual((yield* sessions.list(principal)).length, 2)
      })
    )

    it.effect("changing the password ends every other session, and tells", () =>
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
          const living = (yield* sessions.list(principal)).map(({ id }) => id)
          assert.deepStrictEqual(living, [tokens.sessionId], `round ${round}`)
        }
      })
    )

    it.effect("of two changes of the same password one wins", () =>
      Effect.gen(function* () {
        const sessions = yield* Sessions
        const { person, principal } = yield* signedIn
        const change = (newPassword: string) =>
          outcome(sessions.changePassword(principal, { currentPassword: person.password, newPassword }))
        const outcomes = yield* Effect.forEach(["battery staple", "staple battery"], change, { concurrency: 2 })
        assert.deepStrictEqual(count(outcomes), { ok: 1, Forbidden: 1 })
      })
    )

    it.effect("limits the failures of a login, known or not; successes are free", () =>
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
