import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Stream, Tracer } from "effect"
import { ExternalId } from "../../src/domain/ExternalId.ts"
import { ServiceTokenId, UserId } from "../../src/domain/Ids.ts"
import type { ServiceScope } from "../../src/domain/ServiceToken.ts"
import { MetricsRoute } from "../../src/http/server/MetricsServer.ts"
import { HttpRoutes } from "../../src/http/server/Server.ts"
import { RpcRoutes } from "../../src/rpc/RpcRoutes.ts"
import { ServiceTokens } from "../../src/services/admin/ServiceTokens.ts"
import { makeTracing, Tracing } from "../../src/services/platform/Tracing.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import { Memory } from "../../src/testing/memory/State.ts"
import { HttpService, httpService, newcomer } from "../support/HttpService.ts"
import { rpcClient, withToken } from "../support/Rpc.ts"
import { counting, sampleOf } from "../support/Samples.ts"

const tokenWith = (...scopes: ReadonlyArray<ServiceScope>) =>
  ServiceTokens.use((tokens) => tokens.create("cli:test", { name: "test", scopes }))

const spans: Array<Tracer.NativeSpan> = []
const tracer = Tracer.make({
  span: (options) => {
    const span = new Tracer.NativeSpan({ ...options, sampled: true })
    spans.push(span)
    return span
  }
})

const Service = httpService(Layer.mergeAll(HttpRoutes, RpcRoutes, MetricsRoute)).pipe(
  Layer.provideMerge(fakeServices({ limits: { serviceRequestsPerMinute: 20, requestsPerMinute: 10 } })),
  Layer.provideMerge(counting),
  Layer.provide(
    Layer.effect(
      Tracing,
      Effect.clockWith((clock) => Effect.succeed(makeTracing(tracer, 1, clock)))
    )
  )
)

layer(Service, { excludeTestServices: true })("the API of operators", (it) => {
  it.effect("makes tokens, lists and revokes them, over HTTP and RPC", () =>
    Effect.gen(function* () {
      const { ask, url } = yield* HttpService
      const { id, token } = yield* tokenWith("tokens", "audit")
      const made = yield* ask("/v1/server/tokens", { token, json: { name: "reader", scopes: ["audit"] } })
      assert.strictEqual(made.status, 201)
      const reader = String(made.json.token)
      const listed = yield* ask("/v1/server/tokens?limit=2", { token })
      const { token: _, ...shown } = made.json
      assert.deepInclude(listed.json.items, { ...shown, createdBy: `token:${id}` })
      assert.notInclude(listed.text, reader)
      assert.strictEqual((yield* ask("/v1/server/audit", { token: reader })).status, 200)
      const rpc = yield* rpcClient(url, "http")
      yield* withToken(token)(rpc["token.revoke"]({ tokenId: ServiceTokenId.make(String(made.json.id)) }))
      const after = yield* ask("/v1/server/audit", { token: reader })
      assert.deepStrictEqual([after.status, after.problem.code], [401, "token-invalid"])
      const { items } = yield* withToken(token)(rpc["audit.list"]({ limit: 2 }))
      assert.deepStrictEqual(
        items.map(({ act, actor, target }) => [act, actor, target.id]),
        [
          ["token.revoke", `token:${id}`, made.json.id],
          ["token.create", `token:${id}`, made.json.id]
        ]
      )
    })
  )

  it.effect("refuses texts that are not service tokens, and scopes that a token does not have", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { token } = yield* tokenWith("tokens")
      const beyond = yield* ask("/v1/server/tokens", { token, json: { name: "more", scopes: ["admin", "tokens"] } })
      assert.deepStrictEqual([beyond.status, beyond.problem.type], [403, "/problems/forbidden"])
      for (const json of [
        { name: "x", scopes: [] },
        { name: "x", scopes: ["everything"] },
        { name: " ", scopes: ["tokens"] },
        { name: "x", scopes: ["tokens"], expiresInSeconds: 0 }
      ])
        assert.strictEqual((yield* ask("/v1/server/tokens", { token, json })).status, 400)
      const user = yield* newcomer()
      const failures = Effect.map(
        ask("/metrics"),
        ({ text }) => sampleOf(text, `chat_auth_failures_total{reason="service-token"}`) ?? 0
      )
      const before = yield* failures
      const cookie = { cookie: `access_token=${token}` }
      for (const request of [{}, { token: "cst_wrong" }, { token: user.token }, { headers: cookie }]) {
        const { headers, status } = yield* ask("/v1/server/tokens", request)
        assert.deepStrictEqual([status, headers.get("www-authenticate")], [401, "Bearer"])
      }
      // A request without any token is no failure.
      assert.strictEqual((yield* failures) - before, 2)
    })
  )

  it.effect("counts the requests of each token, apart from those of users", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const [one, other] = [yield* tokenWith("audit"), yield* tokenWith("audit")]
      const get = ({ token }: { readonly token: string }) => ask("/v1/server/audit?limit=1", { token })
      for (let left = 19; left >= 0; left--) {
        const { headers, status } = yield* get(one)
        assert.strictEqual(status, 200)
        assert.match(headers.get("ratelimit") ?? "", new RegExp(`^"service-requests";r=${left};`))
      }
      assert.strictEqual((yield* get(one)).status, 429)
      assert.strictEqual((yield* get(other)).status, 200)
    })
  )

  it.effect("makes the users of an application, and tokens for them that no log has", () =>
    Effect.gen(function* () {
      const { ask, log, url } = yield* HttpService
      const { id, token } = yield* tokenWith("users", "act-as")
      const path = `/v1/server/users/${encodeURIComponent("customer/1 ü")}`
      const put = (json: object) => ask(path, { method: "PUT", token, json })
      const ann = yield* put({ username: "customer", displayName: "Ann", avatarUrl: null })
      assert.deepInclude(ann, { status: 200 })
      assert.deepInclude(ann.json, { externalId: "customer/1 ü", username: "customer", displayName: "Ann" })
      assert.deepStrictEqual((yield* put({})).json, ann.json)
      assert.strictEqual((yield* put({ displayName: "\n" })).problem.errors?.[0]?.path, "displayName")
      const users = [{ externalId: "customer/1 ü" }, { externalId: "2", username: "customer" }]
      const batch = yield* ask("/v1/server/users/batch", { token, json: { users } })
      assert.lengthOf(Object(batch.json).items, 2)
      for (const wrong of [[], [...users, ...users], Array.from({ length: 101 }, (_, i) => ({ externalId: `${i}` }))])
        assert.strictEqual((yield* ask("/v1/server/users/batch", { token, json: { users: wrong } })).status, 400)

      const made = yield* ask(`${path}/tokens`, { token, json: { expiresInSeconds: 60 } })
      assert.deepStrictEqual([made.status, made.json.expiresIn], [201, 60])
      const accessToken = String(made.json.accessToken)
      assert.strictEqual((yield* ask("/v1/users/me", { token: accessToken })).json.id, ann.json.id)
      assert.strictEqual((yield* ask(`${path}/tokens`, { token, json: { expiresInSeconds: 59 } })).status, 400)
      const actAs = { "chat-act-as": `ext:${encodeURIComponent("customer/1 ü")}` }
      assert.strictEqual((yield* ask("/v1/users/me", { token, headers: actAs })).json.id, ann.json.id)
      const malformed = yield* ask("/v1/users/me", { token, headers: { "chat-act-as": "ext:%" } })
      assert.deepStrictEqual([malformed.status, malformed.problem.errors?.[0]?.path], [400, "Chat-Act-As"])
      const rpc = yield* rpcClient(url, "http")
      yield* withToken(token)(rpc["server.revokeUser"]({ externalId: ExternalId.make("customer/1 ü") }))
      assert.strictEqual((yield* ask("/v1/users/me", { token: accessToken })).status, 401)
      assert.strictEqual((yield* ask(path, { method: "DELETE", token })).status, 204)
      assert.strictEqual((yield* ask(path, { token })).status, 404)
      const { audit } = yield* Memory
      assert.deepStrictEqual(
        audit.filter(({ targetId }) => targetId === ann.json.id).map(({ act, actor }) => [act, actor]),
        ["server.upsertUser", "server.createToken", "admin.endSessions", "admin.deleteAccount"].map((act) => [
          act,
          `token:${id}`
        ])
      )
      for (const secret of [token.slice(4, 20), accessToken.split(".")[2] ?? assert.fail()])
        assert.notInclude(JSON.stringify([log, audit]), secret)
    })
  )

  it.effect("gives users a new password, by itself or with a token that no log has", () =>
    Effect.gen(function* () {
      const { ask, log } = yield* HttpService
      const { token } = yield* tokenWith("admin")
      const user = yield* newcomer()
      const path = `/v1/server/admin/accounts/${user.id}`
      const login = (password: string) =>
        Effect.map(ask("/v1/auth/login", { json: { login: user.username, password } }), ({ status }) => status)
      const weak = yield* ask(`${path}/password`, { method: "PUT", token, json: { password: "12345678" } })
      assert.deepStrictEqual([weak.status, weak.problem.errors?.[0]?.path], [400, "password"])
      const set = yield* ask(`${path}/password`, { method: "PUT", token, json: { password: "battery staple" } })
      assert.strictEqual(set.status, 204)
      assert.strictEqual((yield* ask("/v1/users/me", { token: user.token })).status, 401)
      assert.strictEqual(yield* login("battery staple"), 200)

      const made = yield* ask(`${path}/password-reset`, { method: "POST", token })
      assert.strictEqual(made.status, 201)
      const reset = (newPassword: string) =>
        ask("/v1/auth/password/reset", { json: { token: made.json.token, newPassword } })
      const refused = yield* reset("short")
      assert.deepStrictEqual([refused.status, refused.problem.errors?.[0]?.path], [400, "newPassword"])
      assert.strictEqual((yield* reset("another staple")).status, 204)
      assert.strictEqual(yield* login("another staple"), 200)
      const again = yield* reset("third staple")
      assert.deepStrictEqual([again.status, again.problem.code], [401, "token-invalid"])
      const { audit } = yield* Memory
      assert.deepInclude(
        log.map(({ message, userId }) => ({ message, userId })),
        { message: "a password was reset with a token", userId: user.id }
      )
      for (const secret of [String(made.json.token), "staple"]) assert.notInclude(JSON.stringify([log, audit]), secret)
    })
  )

  it.effect("exports an account as lines of JSON, over HTTP and RPC", () =>
    Effect.gen(function* () {
      const { ask, url } = yield* HttpService
      const { token } = yield* tokenWith("admin")
      const [ann, bob] = [yield* newcomer("ann"), yield* newcomer("bob")]
      const dm = yield* ask("/v1/conversations", { token: ann.token, json: { kind: "dm", userId: bob.id } })
      const json = { clientMessageId: "one", body: "hello" }
      yield* ask(`/v1/conversations/${String(dm.json.id)}/messages`, { token: ann.token, json })
      const { headers, status, text } = yield* ask(`/v1/server/admin/accounts/${ann.id}/export`, { token })
      assert.deepStrictEqual([status, headers.get("content-type")], [200, "application/x-ndjson"])
      assert.isTrue(text.endsWith("\n"))
      const lines: ReadonlyArray<{ readonly kind: string }> = text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
      assert.deepStrictEqual(
        lines.map(({ kind }) => kind),
        ["profile", "conversation", "message", "session", "end"]
      )
      assert.deepNestedInclude(lines[2], { "data.body": "hello", "data.conversationId": dm.json.id })
      const rpc = yield* rpcClient(url, "http")
      const overRpc = yield* rpc["admin.exportAccount"](
        { userId: UserId.make(ann.id) },
        { headers: { authorization: `Bearer ${token}` } }
      ).pipe(Stream.runCollect)
      assert.deepStrictEqual(
        overRpc.map((line): { readonly kind: string } => line),
        lines
      )
      const unknown = yield* ask("/v1/server/admin/accounts/unknown/export", { token })
      assert.deepStrictEqual([unknown.status, unknown.problem.type], [404, "/problems/not-found"])
    })
  )

  it.effect("never shows a service token, in a log, a span, a metric, a problem or the stored rows", () =>
    Effect.gen(function* () {
      const { ask, log, url } = yield* HttpService
      const { audit, serviceTokens } = yield* Memory
      const planted = yield* tokenWith("tokens")
      const token = planted.token
      const rpc = yield* rpcClient(url, "http")
      const answers = [
        yield* ask("/v1/server/tokens", {
          token,
          headers: { traceparent: `00-${"1".repeat(32)}-${"2".repeat(16)}-01` }
        }),
        yield* ask(`/v1/server/tokens/${token}`, { method: "DELETE", token }),
        yield* ask("/v1/server/audit", { token }),
        yield* ask("/v1/users/me", { token }),
        yield* ask("/v1/server/audit", { token: `${token}x` }),
        yield* ask(`/v1/server/audit?cursor=${token}`, { token: (yield* tokenWith("audit")).token })
      ]
      assert.deepStrictEqual(
        answers.map(({ status }) => status),
        [200, 404, 403, 401, 401, 400]
      )
      yield* withToken(token)(rpc["token.list"]({}))
      yield* Effect.flip(withToken(token)(rpc["user.me"]()))
      const shown = spans.map(({ attributes, events, name, status }) => [name, [...attributes], events, status])
      assert.isNotEmpty(shown)
      const everything = [
        ...answers.map(({ headers, text }) => [text, [...headers]]),
        ...[log, shown, (yield* ask("/metrics")).text, audit, [...serviceTokens.values()]]
      ]
      const text = JSON.stringify(everything, (_, value) => (typeof value === "bigint" ? String(value) : value))
      assert.include(text, planted.id)
      const at = text.indexOf(token)
      assert.strictEqual(at, -1, text.slice(at - 200, at + 80))
      assert.notInclude(text, token.slice(4, 24))
      assert.deepInclude(
        log.map(({ route, serviceTokenId }) => ({ route, serviceTokenId })),
        { route: "/v1/server/tokens", serviceTokenId: planted.id }
      )
    })
  )
})
