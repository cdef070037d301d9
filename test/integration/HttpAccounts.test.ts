import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { createLocalJWKSet, jwtVerify } from "jose"
import { Conversations } from "../../src/services/conversations/Conversations.ts"
import { Invites } from "../../src/services/conversations/Invites.ts"
import { Users } from "../../src/services/identity/Users.ts"
import { someone } from "../support/Accounts.ts"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"

const page = "https://chat.example.com"
const otherPage = "https://app.example.com"
const stranger = "https://evil.example.com"

const cookieOf = (headers: Headers) => headers.getSetCookie()[0] ?? ""

layer(fakeService({ server: { origin: page, allowedOrigins: [page, otherPage] } }), { excludeTestServices: true })(
  "accounts",
  (it) => {
    it.effect("a user registers, logs in, reads and changes the profile, and logs out", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const { ip: _, ...person } = someone()
        const made = yield* ask("/v1/auth/register", { json: person })
        assert.strictEqual(made.status, 201)
        const { password: __, ...visible } = person
        assert.include(made.json, visible)
        assert.notProperty(made.json, "password")

        const again = yield* ask("/v1/auth/register", { json: { ...person, username: `${person.username}x` } })
        assert.deepStrictEqual([again.status, again.problem.code], [409, "email-taken"])

        const login = yield* ask("/v1/auth/login", { json: { login: person.email, password: person.password } })
        assert.deepStrictEqual(Object.keys(login.json).sort(), [
          "accessToken",
          "expiresIn",
          "refreshToken",
          "sessionId",
          "user"
        ])
        const token = String(login.json.accessToken)
        assert.deepStrictEqual((yield* ask("/v1/users/me", { token })).json, made.json)

        const changed = yield* ask("/v1/users/me", { method: "PATCH", token, json: { displayName: "Other" } })
        assert.deepStrictEqual([changed.status, changed.json.displayName], [200, "Other"])

        const refreshed = yield* ask("/v1/auth/refresh", { json: { refreshToken: login.json.refreshToken } })
        assert.deepStrictEqual([refreshed.status, refreshed.json.sessionId], [200, login.json.sessionId])

        assert.strictEqual((yield* ask("/v1/auth/logout", { method: "POST", token })).status, 204)
        assert.strictEqual((yield* ask("/v1/users/me", { token })).status, 401)
      })
    )

    it.effect("an unknown account and a wrong password get the same 401", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const { username } = yield* newcomer()
        const wrong = yield* ask("/v1/auth/login", { json: { login: username, password: "wrong wrong" } })
        const unknown = yield* ask("/v1/auth/login", { json: { login: "nobody-at-all", password: "wrong wrong" } })
        assert.deepStrictEqual([wrong.status, unknown.status], [401, 401])
        assert.deepStrictEqual({ ...wrong.problem, requestId: "" }, { ...unknown.problem, requestId: "" })
        assert.strictEqual(wrong.headers.get("www-authenticate"), "Bearer")
      })
    )

    it.effect("users can end their own sessions, and no others", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const me = yield* newcomer()
        const other = yield* newcomer()
        const phone = yield* ask("/v1/auth/login", {
          json: { login: me.username, password: me.password },
          headers: { "user-agent": "phone" }
        })
        const { items } = (yield* ask("/v1/sessions", { token: me.token })).json
        assert.isArray(items)
        assert.lengthOf(items as ReadonlyArray<unknown>, 2)
        assert.include(JSON.stringify(items), '"userAgent":"phone","ip":"127.0.0.1"')

        const path = `/v1/sessions/${String(phone.json.sessionId)}`
        assert.strictEqual((yield* ask(path, { method: "DELETE", token: other.token })).status, 404)
        assert.strictEqual((yield* ask(path, { method: "DELETE", token: me.token })).status, 204)
        assert.strictEqual((yield* ask(path, { method: "DELETE", token: me.token })).status, 404)
        assert.strictEqual((yield* ask("/v1/users/me", { token: String(phone.json.accessToken) })).status, 401)
      })
    )

    it.effect("changing the password ends the other sessions, and needs the current one", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const { password, token, username } = yield* newcomer()
        const other = yield* ask("/v1/auth/login", { json: { login: username, password } })
        const change = (currentPassword: string, newPassword: string) =>
          ask("/v1/auth/password", { token, json: { currentPassword, newPassword } })
        assert.strictEqual((yield* change("not that one", "a new password")).status, 403)
        assert.deepStrictEqual((yield* change(password, "short")).problem.errors?.[0]?.path, "newPassword")
        assert.strictEqual((yield* change(password, "a new password")).status, 204)
        assert.strictEqual((yield* ask("/v1/users/me", { token })).status, 200)
        assert.strictEqual((yield* ask("/v1/users/me", { token: String(other.json.accessToken) })).status, 401)
      })
    )

    it.effect("other users see no e-mail address, and a search goes through names page by page", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const me = yield* newcomer("zoe")
        const others = yield* Effect.forEach([1, 2, 3, 4], () => newcomer("zoe"))
        const profile = yield* ask(`/v1/users/${others[0]?.id}`, { token: me.token })
        assert.deepStrictEqual(Object.keys(profile.json).sort(), [
          "avatarUrl",
          "createdAt",
          "displayName",
          "id",
          "kind",
          "username"
        ])
        assert.strictEqual(profile.json.kind, "human")
        const found: Array<unknown> = []
        let cursor = ""
        do {
          const { json } = yield* ask(`/v1/users?query=zOe&limit=2${cursor && `&cursor=${cursor}`}`, {
            token: me.token
          })
          found.push(...(json.items as ReadonlyArray<unknown>))
          cursor = String(json.nextCursor ?? "")
        } while (cursor !== "")
        assert.lengthOf(found, 5)
        assert.notInclude(JSON.stringify(found), "@example.com")
      })
    )

    describe("the access token", () => {
      it.effect("is required, and must be one of ours", () =>
        Effect.gen(function* () {
          const { ask } = yield* HttpService
          for (const authorization of [undefined, "", "Bearer", "Bearer ", "Bearer x", "Basic eDp5", "Bearer a.b.c"]) {
            const { headers, problem } = yield* ask("/v1/users/me", {
              headers: authorization === undefined ? {} : { authorization }
            })
            assert.strictEqual(problem.type, "/problems/unauthenticated")
            assert.strictEqual(headers.get("www-authenticate"), "Bearer")
          }
        })
      )

      it.effect("is not read from the URL", () =>
        Effect.gen(function* () {
          const { ask } = yield* HttpService
          const { token } = yield* newcomer()
          assert.strictEqual((yield* ask(`/v1/users/me?access_token=${token}&token=${token}`)).status, 401)
        })
      )

      it.effect("is set as a cookie for pages of allowed origins alone", () =>
        Effect.gen(function* () {
          const { ask } = yield* HttpService
          const { password, token, username } = yield* newcomer()
          const login = (headers: Record<string, string>) =>
            ask("/v1/auth/login", { json: { login: username, password }, headers })
          assert.strictEqual(cookieOf((yield* login({})).headers), "")
          assert.strictEqual(cookieOf((yield* login({ origin: stranger })).headers), "")
          const given = yield* login({ origin: page })
          assert.strictEqual(
            cookieOf(given.headers),
            `access_token=${String(given.json.accessToken)}; Max-Age=3600; Path=/; HttpOnly; Secure; SameSite=Lax`
          )
          const cookie = `access_token=${String(given.json.accessToken)}`
          const out = yield* ask("/v1/auth/logout", { method: "POST", headers: { cookie, origin: page } })
          assert.strictEqual(out.status, 204)
          assert.match(cookieOf(out.headers), /^access_token=; Max-Age=0;/)
          assert.strictEqual(cookieOf((yield* ask("/v1/auth/logout", { method: "POST", token })).headers), "")
        })
      )

      it.effect("in a cookie has no effect for a page of another origin", () =>
        Effect.gen(function* () {
          const { ask } = yield* HttpService
          const { token } = yield* newcomer()
          const cookie = `a=b; access_token=${token}`
          assert.strictEqual((yield* ask("/v1/users/me", { headers: { cookie } })).status, 200)
          const change = (headers: Record<string, string>) =>
            ask("/v1/users/me", { method: "PATCH", json: { displayName: "X" }, headers: { cookie, ...headers } })
          assert.strictEqual((yield* change({})).status, 403)
          assert.strictEqual((yield* change({ origin: "null" })).status, 403)
          assert.strictEqual((yield* change({ origin: stranger })).status, 403)
          assert.strictEqual((yield* change({ origin: otherPage })).status, 200)
          // A request with an Authorization header is not taken for that of the cookie's user.
          assert.strictEqual((yield* change({ origin: page, authorization: "Bearer x" })).status, 401)
        })
      )
    })

    describe("CORS", () => {
      it.effect("lets pages of the listed origins read answers, problems too, and no others", () =>
        Effect.gen(function* () {
          const { ask } = yield* HttpService
          for (const path of ["/health", "/v1/users/me", "/nowhere"]) {
            for (const origin of [page, otherPage]) {
              const { headers } = yield* ask(path, { headers: { origin } })
              assert.strictEqual(headers.get("access-control-allow-origin"), origin)
              assert.strictEqual(headers.get("access-control-allow-credentials"), "true")
              for (const name of ["x-request-id", "traceresponse", "ratelimit", "ratelimit-policy", "retry-after"]) {
                assert.include(headers.get("access-control-expose-headers")?.split(", ") ?? [], name)
              }
              assert.strictEqual(headers.get("vary"), "Origin")
            }
            for (const origin of [stranger, "null", `${page}.evil.com`, page.toUpperCase()]) {
              const { headers } = yield* ask(path, { headers: { origin } })
              assert.isNull(headers.get("access-control-allow-origin"))
              assert.strictEqual(headers.get("vary"), "Origin")
            }
          }
        })
      )

      it.effect("answers preflights", () =>
        Effect.gen(function* () {
          const { ask } = yield* HttpService
          const preflight = (origin: string) =>
            ask("/v1/users/me", {
              method: "OPTIONS",
              headers: {
                origin,
                "access-control-request-method": "PATCH",
                "access-control-request-headers": "authorization,content-type"
              }
            })
          const { headers, status } = yield* preflight(otherPage)
          assert.strictEqual(status, 204)
          assert.strictEqual(headers.get("access-control-allow-origin"), otherPage)
          assert.include(headers.get("access-control-allow-methods") ?? "", "PATCH")
          for (const name of ["authorization", "traceparent", "tracestate", "baggage", "b3", "x-b3-traceid"]) {
            assert.include(headers.get("access-control-allow-headers")?.split(", ") ?? [], name)
          }
          assert.strictEqual(headers.get("access-control-max-age"), "3600")
          const foreign = yield* preflight(stranger)
          assert.isNull(foreign.headers.get("access-control-allow-origin"))
          assert.isNull(foreign.headers.get("access-control-allow-methods"))
        })
      )
    })

    describe("request ids", () => {
      it.effect("are the caller's when they are printable, and ours otherwise", () =>
        Effect.gen(function* () {
          const { ask } = yield* HttpService
          const idFor = (id: string) =>
            Effect.map(ask("/nowhere", { headers: { "x-request-id": id } }), ({ headers, problem }) => {
              assert.strictEqual(problem.requestId, headers.get("x-request-id"))
              return problem.requestId
            })
          for (const id of ["a", "~".repeat(128), '<"{}>']) assert.strictEqual(yield* idFor(id), id)
          for (const id of ["", "~".repeat(129), "a b", "ü", "a\tb"]) {
            const given = yield* idFor(id)
            assert.match(given, /^[0-9a-f-]{36}$/)
          }
          assert.notStrictEqual(yield* idFor(""), yield* idFor(""))
        })
      )

      it.effect("are in the one log line of a request, which has nothing private", () =>
        Effect.gen(function* () {
          const { ask, log } = yield* HttpService
          const { id, password, token } = yield* newcomer()
          const headers = { "x-request-id": "find-me", cookie: "a=cookie-secret" }
          yield* ask("/v1/users?query=query-secret", { token, headers })
          yield* ask("/v1/auth/login", { json: { login: "login-secret", password: "body-secret" }, headers })
          const lines = log.filter(({ requestId }) => requestId === "find-me")
          assert.lengthOf(lines, 2)
          const [{ durationMs, time: _, ...line } = {}, refused] = lines
          assert.deepStrictEqual(line, {
            level: "INFO",
            message: "request",
            method: "GET",
            route: "/v1/users",
            status: 200,
            userId: id,
            requestId: "find-me"
          })
          assert.isAbove(Number(durationMs), 0)
          assert.deepStrictEqual(
            [refused?.status, refused?.route, refused?.client],
            [401, "/v1/auth/login", "127.0.0.1"]
          )
          const all = JSON.stringify(log)
          for (const secret of ["-secret", password, token]) assert.notInclude(all, secret)
        })
      )

      it.effect("are in a log line without the path when the path is unknown", () =>
        Effect.gen(function* () {
          const { ask, log } = yield* HttpService
          yield* ask("/v1/private-thing", { headers: { "x-request-id": "lost" } })
          const line = log.find(({ requestId }) => requestId === "lost")
          assert.deepStrictEqual([line?.route, line?.status], ["none", 404])
        })
      )
    })

    it.effect("every answer has the headers that keep browsers from guessing", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        for (const path of ["/health", "/v1/users/me", "/nowhere", "/openapi.json"]) {
          const { headers } = yield* ask(path)
          assert.strictEqual(headers.get("x-content-type-options"), "nosniff")
          assert.strictEqual(headers.get("content-security-policy"), "default-src 'none'; frame-ancestors 'none'")
          assert.strictEqual(headers.get("referrer-policy"), "no-referrer")
          assert.strictEqual(headers.get("strict-transport-security"), "max-age=31536000")
          assert.isNull(headers.get("x-powered-by"))
        }
        assert.strictEqual((yield* ask("/v1/users/me")).headers.get("cache-control"), "no-store")
      })
    )
  }
)

layer(fakeService({ limits: { requestsPerMinute: 3, registrationsPerMinuteAddress: 4, loginFailuresPerMinute: 2 } }), {
  excludeTestServices: true
})("limits", (it) => {
  it.effect("on the requests of a session answer 429, say how many are left, and do not affect other sessions", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { token } = yield* newcomer()
      const other = yield* newcomer()
      for (const remaining of [2, 1, 0]) {
        const { headers, status } = yield* ask("/v1/users/me", { token })
        assert.strictEqual(status, 200)
        assert.strictEqual(headers.get("ratelimit-policy"), '"default";q=3;w=60')
        assert.match(headers.get("ratelimit") ?? "", new RegExp(`^"default";r=${remaining};t=\\d+$`))
      }
      const { headers, problem, status } = yield* ask("/v1/users/me", { token })
      assert.deepStrictEqual([status, problem.type], [429, "/problems/rate-limited"])
      assert.isAtLeast(Number(headers.get("retry-after")), 1)
      assert.isAtMost(Number(headers.get("retry-after")), 60)
      assert.match(headers.get("ratelimit") ?? "", /^"default";r=0;t=\d+$/)
      assert.strictEqual((yield* ask("/v1/users/me", { token: other.token })).status, 200)
      assert.strictEqual((yield* ask("/health")).status, 200)
    })
  )

  it.effect("say in each answer how many requests are left", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { ip: _, ...person } = someone()
      const registered = yield* ask("/v1/auth/register", { json: person })
      assert.strictEqual(registered.headers.get("ratelimit-policy"), '"register";q=4;w=60, "address";q=2000;w=10')
      assert.match(registered.headers.get("ratelimit") ?? "", /^"register";r=\d;t=\d+, "address";r=\d+;t=\d+$/)
      const wrong = { login: person.username, password: "wrong wrong" }
      const failed = yield* ask("/v1/auth/login", { json: wrong })
      assert.strictEqual(failed.status, 401)
      assert.include(failed.headers.get("ratelimit-policy") ?? "", '"login";q=2;w=60')
      assert.include(failed.headers.get("ratelimit-policy") ?? "", '"login-address";q=100;w=60')
      assert.match(failed.headers.get("ratelimit") ?? "", /"login";r=1;t=30/)
      const right = yield* ask("/v1/auth/login", { json: { ...wrong, password: person.password } })
      assert.strictEqual(right.status, 200)
      assert.match(right.headers.get("ratelimit") ?? "", /"login";r=1;t=30/, "a success is free")
      yield* ask("/v1/auth/login", { json: wrong })
      const refused = yield* ask("/v1/auth/login", { json: wrong })
      assert.strictEqual(refused.status, 429)
      assert.match(refused.headers.get("ratelimit-policy") ?? "", /^"login";q=2;w=60, /)
      assert.match(refused.headers.get("ratelimit") ?? "", /^"login";r=0;t=60, /)
      assert.strictEqual(refused.headers.get("retry-after"), "60")
    })
  )

  it.effect("on an address cannot be avoided with a forged address", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const statuses = yield* Effect.forEach([1, 2, 3, 4, 5, 6], (n) => {
        const { ip: _, ...json } = someone()
        return Effect.map(
          ask("/v1/auth/register", {
            json,
            headers: { "x-forwarded-for": `10.0.0.${n}`, forwarded: `for=10.0.0.${n}` }
          }),
          ({ headers, status }) => [status, headers.has("retry-after")]
        )
      })
      assert.deepStrictEqual(statuses.at(-1), [429, true])
    })
  )

  it.effect("on failed logins answer 429", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const json = { login: "somebody", password: "wrong wrong" }
      const statuses = yield* Effect.forEach([1, 2, 3], () =>
        Effect.map(ask("/v1/auth/login", { json }), (a) => a.status)
      )
      assert.deepStrictEqual(statuses, [401, 401, 429])
    })
  )
})

layer(fakeService({ server: { trustedProxies: ["127.0.0.1", "10.1.2.3/16"] } }), { excludeTestServices: true })(
  "behind trusted proxies",
  (it) => {
    it.effect("the address is the last one that is not a trusted proxy's", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const { password, token, username } = yield* newcomer()
        const seen: ReadonlyArray<readonly [string, string]> = [
          ["203.0.113.7", "203.0.113.7"],
          ["1.2.3.4, 203.0.113.8, 10.1.2.3", "203.0.113.8"],
          ["spoofed, 203.0.113.9", "203.0.113.9"],
          ["1.2.3.4, garbage, 10.1.2.3", "10.1.2.3"],
          ["2001:db8::1", "2001:db8::1"],
          ["1.2.3.4, [2001:db8::2]:4711", "2001:db8::2"],
          ["203.0.113.11:4711", "203.0.113.11"],
          ["::ffff:203.0.113.10", "203.0.113.10"],
          ["", "127.0.0.1"]
        ]
        for (const [forwarded, address] of seen) {
          yield* ask("/v1/auth/login", {
            json: { login: username, password },
            headers: { "x-forwarded-for": forwarded, "user-agent": `from ${forwarded}` }
          })
          const { text } = yield* ask("/v1/sessions", { token })
          assert.include(text, `"userAgent":"from ${forwarded}`.trimEnd())
          assert.include(text, `"ip":"${address}"`)
        }
      })
    )

    it.effect("the log names that address in the line of a refused request", () =>
      Effect.gen(function* () {
        const { ask, log } = yield* HttpService
        yield* ask("/v1/users/me", { headers: { "x-forwarded-for": "203.0.113.20", "x-request-id": "refused" } })
        assert.strictEqual(log.find(({ requestId }) => requestId === "refused")?.client, "203.0.113.20")
      })
    )
  }
)

layer(fakeService({ logging: { clientAddress: false } }), { excludeTestServices: true })(
  "without addresses in the log",
  (it) => {
    it.effect("no log line has an address", () =>
      Effect.gen(function* () {
        const { ask, log } = yield* HttpService
        assert.strictEqual((yield* ask("/v1/users/me")).status, 401)
        assert.isTrue(log.some(({ status }) => status === 401))
        assert.notInclude(JSON.stringify(log), "127.0.0.1")
      })
    )
  }
)

layer(fakeService({ jwt: { algorithm: "EdDSA", issuer: "our chat" } }), { excludeTestServices: true })(
  "access tokens with EdDSA",
  (it) => {
    it.effect("another service verifies them with the published keys", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const { id, token } = yield* newcomer()
        assert.strictEqual((yield* ask("/v1/users/me", { token })).status, 200)
        const published = yield* ask("/.well-known/jwks.json")
        assert.deepStrictEqual([published.status, published.headers.get("cache-control")], [200, "public, max-age=300"])
        const keySet = createLocalJWKSet(JSON.parse(published.text))
        const { payload } = yield* Effect.promise(() => jwtVerify(token, keySet, { issuer: "our chat" }))
        assert.strictEqual(payload.sub, id)
      })
    )
  }
)

layer(fakeService({ auth: { registration: "closed" } }), { excludeTestServices: true })("closed registration", (it) => {
  it.effect("refuses every registration, also with an invite", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { ip: _, ...person } = someone()
      for (const json of [person, { ...person, inviteCode: "anything" }]) {
        const { problem, status } = yield* ask("/v1/auth/register", { json })
        assert.deepStrictEqual([status, problem.code], [403, "registration-closed"])
      }
    })
  )
})

layer(fakeService({ auth: { registration: "invite" } }), { excludeTestServices: true })("with an invite only", (it) => {
  it.effect("a new user joins the group of the invite, and nobody registers without one", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const owner = yield* Users.use((users) => users.register(someone()))
      const group = { kind: "group", title: "Group", memberIds: [] } as const
      const { conversation } = yield* Conversations.use((conversations) => conversations.create(owner.id, group))
      const { code } = yield* Invites.use((invites) => invites.create(owner.id, conversation.id, {}))
      const { ip: _, ...person } = someone()
      const without = yield* ask("/v1/auth/register", { json: person })
      assert.deepStrictEqual([without.status, without.problem.code], [403, "invite-required"])
      const unknown = yield* ask("/v1/auth/register", { json: { ...person, inviteCode: "unknown" } })
      assert.deepStrictEqual([unknown.status, unknown.problem.type], [404, "/problems/not-found"])
      const made = yield* ask("/v1/auth/register", { json: { ...person, inviteCode: code } })
      assert.strictEqual(made.status, 201)
      const login = yield* ask("/v1/auth/login", { json: { login: person.username, password: person.password } })
      const { text } = yield* ask("/v1/conversations", { token: String(login.json.accessToken) })
      assert.include(text, conversation.id)
    })
  )
})
