import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Logger, Stream } from "effect"
import { decodeJwt } from "jose"
import { HttpRoutes } from "../../src/http/server/Server.ts"
import { SocketRoute } from "../../src/http/server/SocketRoute.ts"
import { makeLogger } from "../../src/layers/telemetry/Logging.ts"
import { RpcRoutes } from "../../src/rpc/RpcRoutes.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import * as Sockets from "../../src/ws/layer.ts"
import { connect } from "../support/Client.ts"
import { HttpService, httpService } from "../support/HttpService.ts"
import { Issuers } from "../support/Issuers.ts"
import { rpcClient, withToken } from "../support/Rpc.ts"

/** What sockets and services log; HttpService has the lines of requests. */
const lines: Array<string> = []

const service = Issuers.trusted((auth) =>
  httpService(Layer.mergeAll(HttpRoutes, SocketRoute, RpcRoutes)).pipe(
    Layer.provide(Sockets.layer),
    Layer.provideMerge(fakeServices({ auth: { ...auth, passwords: false } })),
    Layer.provide(Logger.layer([makeLogger("json", (line) => lines.push(line))]))
  )
)

let number = 0
const newSubject = () => `subject-${number++}`

/** A token of a new user of the app. */
const newToken = (claims: object = {}) =>
  Issuers.use(({ app }) => app.sign({ sub: newSubject(), sid: "device", name: "Ann", ...claims }))

const exchange = (subjectToken: string, headers: Record<string, string> = {}) =>
  HttpService.use(({ ask }) =>
    ask("/v1/auth/exchange", {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
      body: new URLSearchParams({
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token: subjectToken,
        subject_token_type: "urn:ietf:params:oauth:token-type:jwt"
      }).toString()
    })
  )

layer(service, { excludeTestServices: true })("the token of an issuer", (it) => {
  it.effect("is the same user over HTTP, sockets, RPC and streams, also from a cookie", () =>
    Effect.gen(function* () {
      const { ask, url } = yield* HttpService
      const token = yield* newToken()
      const me = yield* ask("/v1/users/me", { token, headers: { "user-agent": "browser/1.0" } })
      assert.deepInclude(me.json, { displayName: "Ann" })
      const cookie = yield* ask("/v1/users/me", { headers: { cookie: `access_token=${token}` } })
      assert.strictEqual(cookie.json.id, me.json.id)

      const client = yield* connect(url)
      const [hello] = yield* client.ready(token)
      assert.deepInclude(hello?.ok?.user, { id: me.json.id })
      const expiresAt = ((decodeJwt(token).exp ?? 0) + 30) * 1000
      assert.strictEqual(hello?.ok?.tokenExpiresAt, new Date(expiresAt).toISOString())

      for (const transport of ["http", "websocket"] as const) {
        const rpc = yield* rpcClient(url, transport)
        assert.strictEqual((yield* rpc["user.me"]().pipe(withToken(token))).id, me.json.id)
        const events = rpc["events.stream"]({}).pipe(Stream.take(1), Stream.runCollect, withToken(token))
        assert.lengthOf(yield* events, 1)
      }

      const stream = yield* Effect.promise(() =>
        fetch(`${url}/v1/events`, { headers: { authorization: `Bearer ${token}` } })
      )
      assert.strictEqual(stream.status, 200)
      yield* Effect.promise(() => stream.body?.cancel() ?? Promise.resolve())

      const sessions = yield* ask("/v1/sessions", { token })
      assert.deepInclude(sessions.json, { items: [{ ...Object(sessions.json.items)[0], userAgent: "browser/1.0" }] })
    }).pipe(Effect.scoped)
  )

  it.effect("renews a socket, but only one of the same user", () =>
    Effect.gen(function* () {
      const { url } = yield* HttpService
      const sub = newSubject()
      const client = yield* connect(url)
      yield* client.ready(yield* newToken({ sub }))
      const renew = (id: string, token: string) => {
        client.send({ id, op: "auth.token", data: { token } })
        return client.answer(id)
      }
      assert.isString((yield* renew("same", yield* newToken({ sub, jti: "2" }))).ok?.tokenExpiresAt)
      assert.deepInclude((yield* renew("other", yield* newToken())).error, { status: 400 })
    }).pipe(Effect.scoped)
  )

  it.effect("closes its sockets with 4503 when its session ends, and is refused from then on", () =>
    Effect.gen(function* () {
      const { ask, url } = yield* HttpService
      const token = yield* newToken()
      const client = yield* connect(url)
      yield* client.ready(token)
      const ended = yield* ask("/v1/auth/logout", { method: "POST", token })
      assert.strictEqual(ended.status, 204)
      assert.strictEqual((yield* client.closed).code, 4503)
      assert.deepInclude((yield* ask("/v1/users/me", { token })).problem, { status: 401, code: "session-ended" })
      const again = yield* connect(url)
      again.send({ id: 1, op: "hello", data: { token } })
      assert.strictEqual((yield* again.closed).code, 4503)
    }).pipe(Effect.scoped)
  )

  it.effect("of a user who must be made first is 403, and closes a socket with 4502 after saying so", () =>
    Effect.gen(function* () {
      const { ask, url } = yield* HttpService
      const { existing } = yield* Issuers
      const token = yield* existing.sign({ sub: newSubject() })
      const problem = { status: 403, code: "not-provisioned" }
      assert.deepInclude((yield* ask("/v1/users/me", { token })).problem, problem)
      assert.deepInclude((yield* exchange(token)).problem, problem)
      const client = yield* connect(url)
      client.send({ id: 1, op: "hello", data: { token } })
      assert.deepInclude((yield* client.answer(1)).error, problem)
      assert.strictEqual((yield* client.closed).code, 4502)
    }).pipe(Effect.scoped)
  )

  it.effect("is exchanged for tokens of our own, which can be refreshed", () =>
    Effect.gen(function* () {
      const { ask, url } = yield* HttpService
      const token = yield* newToken()
      const { headers, json, status } = yield* exchange(token, { origin: url })
      assert.strictEqual(status, 200)
      assert.deepInclude(json, {
        issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
        token_type: "Bearer",
        expires_in: 3600
      })
      const me = yield* ask("/v1/users/me", { token: String(json.access_token) })
      assert.strictEqual(me.json.id, Object(json.user).id)
      assert.strictEqual((yield* ask("/v1/users/me", { token })).json.id, me.json.id)
      const refreshed = yield* ask("/v1/auth/refresh", { json: { refreshToken: json.refresh_token } })
      assert.strictEqual(refreshed.json.sessionId, json.sessionId)
      assert.include(headers.get("set-cookie") ?? "", "access_token=")

      yield* ask("/v1/auth/logout", { method: "POST", token })
      assert.deepInclude((yield* exchange(token)).problem, { status: 401, code: "session-ended" })
      assert.deepInclude((yield* exchange(String(json.access_token))).problem, { status: 401, code: "token-invalid" })
      const asJson = yield* ask("/v1/auth/exchange", { json: { subject_token: token } })
      assert.strictEqual(asJson.status, 415)
      const undeclared = yield* ask("/v1/auth/exchange", { method: "POST" })
      assert.strictEqual(undeclared.problem.type, "/problems/unsupported-media-type")
      const empty = yield* ask("/v1/auth/exchange", {
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded" },
        body: "grant_type=password"
      })
      assert.strictEqual(empty.status, 400)
    })
  )

  it.effect("is the only way in where passwords are off", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const person = { username: "someone", email: "s@example.com", displayName: "S", password: "correct horse" }
      for (const [path, json] of [
        ["/v1/auth/register", person],
        ["/v1/auth/login", { login: "someone", password: "correct horse" }]
      ] as const) {
        assert.deepInclude((yield* ask(path, { json })).problem, { status: 403, code: "passwords-disabled" })
      }
    })
  )

  it.effect("never appears in the log", () =>
    Effect.gen(function* () {
      const { ask, log, url } = yield* HttpService
      const token = yield* newToken()
      for (const bad of [token, `${token}x`, yield* newToken({ aud: "another" })]) {
        yield* ask("/v1/users/me", { token: bad })
        yield* exchange(bad)
        const client = yield* connect(url)
        client.send({ id: 1, op: "hello", data: { token: bad } })
        yield* bad === token ? client.answer(1) : client.closed
      }
      assert.isNotEmpty(lines)
      const written = JSON.stringify([lines, log])
      for (const part of token.split(".")) assert.notInclude(written, part)
    }).pipe(Effect.scoped)
  )
})
