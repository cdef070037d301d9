import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { AuditEntry } from "../../src/domain/Audit.ts"
import { ExternalId } from "../../src/domain/ExternalId.ts"
import { ServerUsers } from "../../src/services/admin/ServerUsers.ts"
import { ServiceTokens } from "../../src/services/admin/ServiceTokens.ts"
import { api, connect } from "../support/Client.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"

const decodeId = Schema.decodeUnknownSync(Schema.Struct({ id: Schema.String }))
const decodeToken = Schema.decodeUnknownSync(Schema.Struct({ id: Schema.String, token: Schema.String }))
const decodeLines = Schema.decodeUnknownSync(Schema.Struct({ items: Schema.Array(AuditEntry) }))

/** A user with a socket and a stream of events, whose text is complete when it has ended. */
const connected = Effect.fnUntraced(function* (name: string) {
  const { url } = yield* Service
  const user = yield* api(url).register(name)
  const client = yield* connect(url)
  yield* client.ready(user.token)
  const response = yield* Effect.promise(() =>
    fetch(`${url}/v1/events`, { headers: { authorization: `Bearer ${user.token}` } })
  )
  return { user, client, stream: Effect.promise(() => response.text()) }
})

/** A socket, a socket for calls and a stream of events with one token, which may act as a user. */
const opened = Effect.fnUntraced(function* (token: string, actAs?: string) {
  const { url } = yield* Service
  const headers = { authorization: `Bearer ${token}`, ...(actAs !== undefined && { "chat-act-as": actAs }) }
  const client = yield* connect(url)
  yield* client.ready(token, actAs === undefined ? {} : { actAs })
  const calls = yield* connect(url, { path: "/rpc/ws" })
  calls.send({ _tag: "Request", id: "1", tag: "user.me", payload: null, headers: Object.entries(headers) })
  yield* calls.next(({ json }) => Object(json)._tag === "Exit")
  const response = yield* Effect.promise(() => fetch(`${url}/v1/events`, { headers }))
  return { client, calls, stream: Effect.promise(() => response.text()), response }
})

layer(gatewayService(), { excludeTestServices: true })("an operator", (it) => {
  it.effect("disables an account: sockets, streams and requests of its user end, and logins are refused", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const http = api(url)
      const { client, stream, user } = yield* connected("disabled")
      const { client: bystander } = yield* connected("bystander")
      const { token } = yield* ServiceTokens.use((tokens) =>
        tokens.create("cli:test", { name: "test", scopes: ["admin"] })
      )
      const path = `/v1/server/admin/accounts/${user.id}`
      assert.strictEqual((yield* http.ask("POST", `${path}/disable`, { token })).status, 204)
      assert.strictEqual((yield* client.closed).code, 4504)
      assert.include(yield* stream, "event: ready")
      assert.strictEqual((yield* http.ask("GET", "/v1/users/me", { token: user.token })).status, 401)
      const late = yield* connect(url)
      late.request("hello", { token: user.token })
      assert.strictEqual((yield* late.closed).code, 4503)
      const login = { login: user.username, password: user.password }
      const refused = yield* http.ask("POST", "/v1/auth/login", { json: login })
      assert.deepInclude(refused, { status: 403 })
      assert.propertyVal(refused.body, "code", "account-disabled")
      assert.propertyVal((yield* http.ask("GET", path, { token })).body, "username", user.username)
      assert.strictEqual((yield* http.ask("POST", `${path}/enable`, { token })).status, 204)
      assert.strictEqual((yield* http.ask("POST", "/v1/auth/login", { json: login })).status, 200)
      yield* bystander.ok("ping")
    })
  )

  it.effect("deletes a conversation: its members are told at once, and also when they come back", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const http = api(url)
      const [ann, bob, cat] = [yield* connected("ann"), yield* connected("bob"), yield* connected("cat")]
      const id = yield* http.group(ann.user, bob.user, cat.user)
      yield* http.post(ann.user, id, "first", "hello")
      yield* bob.client.seq(id, 2)
      yield* cat.client.seq(id, 2)
      cat.client.close()
      const { token } = yield* ServiceTokens.use((tokens) =>
        tokens.create("cli:test", { name: "test", scopes: ["admin"] })
      )
      assert.strictEqual((yield* http.ask("DELETE", `/v1/server/admin/conversations/${id}`, { token })).status, 204)
      yield* bob.client.event("conversation.removed", id)
      yield* ann.client.event("conversation.removed", id)
      assert.strictEqual((yield* http.ask("GET", `/v1/conversations/${id}`, { token: bob.user.token })).status, 404)
      const late = yield* connect(url)
      yield* late.hello(cat.user.token, { cursors: { [id]: 2 } })
      yield* late.event("conversation.removed", id)
    })
  )

  it.effect("disables an account from another process, which this node only sees in the database", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [one, other] = [yield* connected("one"), yield* connected("other")]
      yield* sql`SELECT outcome FROM disable_account(${one.user.id}::uuid, 'cli:test', now(), '{}')`
      yield* sql`SELECT outcome FROM end_account_sessions(${other.user.id}::uuid, 'cli:test', now())`
      assert.strictEqual((yield* one.client.closed).code, 4504)
      assert.strictEqual((yield* other.client.closed).code, 4503)
      yield* Effect.all([one.stream, other.stream])
    })
  )

  it.effect("disables a user as whom a program acts: the socket of the program stays open for its other users", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const http = api(url)
      const [one, other] = [yield* http.register("first"), yield* http.register("second")]
      const { token } = yield* ServiceTokens.use((tokens) =>
        tokens.create("cli:test", { name: "test", scopes: ["act-as", "admin"] })
      )
      const calls = yield* connect(url, { path: "/rpc/ws" })
      const call = Effect.fnUntraced(function* (id: string, actAs: string) {
        const headers = [
          ["authorization", `Bearer ${token}`],
          ["chat-act-as", actAs]
        ]
        calls.send({ _tag: "Request", id, tag: "user.me", payload: null, headers })
        const { json } = yield* calls.next(({ json }) => Object(json)._tag === "Exit" && Object(json).requestId === id)
        return Object(json).exit._tag
      })
      const stream = yield* Effect.promise(() =>
        fetch(`${url}/v1/events`, { headers: { authorization: `Bearer ${token}`, "chat-act-as": one.id } })
      )
      for (const [id, user] of [one, other, one].entries()) assert.strictEqual(yield* call(`${id}`, user.id), "Success")
      assert.strictEqual(
        (yield* http.ask("POST", `/v1/server/admin/accounts/${one.id}/disable`, { token })).status,
        204
      )
      // The stream ends when this node has heard of it.
      yield* Effect.promise(() => stream.text())
      assert.strictEqual(yield* call("3", one.id), "Failure")
      assert.strictEqual(yield* call("4", other.id), "Success")
    })
  )

  it.effect("tells the audit log of no field that a command does not have", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const user = yield* api(url).register("audited")
      const { id, token } = yield* ServiceTokens.use((tokens) =>
        tokens.create("cli:test", { name: "test", scopes: ["act-as", "audit"] })
      )
      const client = yield* connect(url)
      yield* client.ready(token, { actAs: user.id })
      yield* client.ok("presence.set", { status: "away", otherId: "\u0000 what somebody wrote" })
      const { items } = decodeLines(yield* api(url).must("GET", "/v1/server/audit?limit=1", { token }))
      assert.deepStrictEqual(
        items.map(({ act, actor, detail }) => ({ act, actor, detail })),
        [{ act: "presence.set", actor: `token:${id}`, detail: {} }]
      )
    })
  )

  it.effect(
    "revokes the token of a bot: its sockets, streams and calls end, and it leaves no lines and no system messages",
    () =>
      Effect.gen(function* () {
        const { log, url } = yield* Service
        const http = api(url)
        const tokens = yield* ServiceTokens
        const users = yield* ServerUsers
        const { token: operator } = yield* tokens.create("cli:test", {
          name: "test",
          scopes: ["tokens", "users", "audit"]
        })
        const externalId = ExternalId.make("bot of the gateway")
        const [bot = assert.fail()] = yield* users.upsert("cli:test", [{ externalId, kind: "bot" }])
        const path = `/v1/server/users/${encodeURIComponent(externalId)}`
        const make = http.must("POST", `${path}/bot-tokens`, { token: operator, json: { name: "test" } })
        const one = decodeToken(yield* make)
        const other = decodeToken(yield* make)
        const ann = yield* http.register("ann")
        const id = yield* http.group(ann, { ...ann, id: bot.id })
        const { items: before } = decodeLines(yield* http.must("GET", "/v1/server/audit?limit=1", { token: operator }))

        const cut = yield* opened(one.token)
        const kept = yield* opened(other.token)
        yield* cut.client.ok("message.send", { conversationId: id, clientMessageId: "first", body: "hello" })
        const system = { conversationId: id, clientMessageId: "system", body: "hello", type: "system" }
        assert.strictEqual((yield* cut.client.error("message.send", system)).status, 400)
        const { status } = yield* http.ask("POST", `/v1/conversations/${id}/messages`, {
          token: one.token,
          json: { clientMessageId: "system", body: "hello", type: "system" }
        })
        assert.strictEqual(status, 400)
        yield* cut.client.ok("auth.token", { token: one.token })
        const { items: after } = decodeLines(yield* http.must("GET", "/v1/server/audit?limit=1", { token: operator }))
        assert.deepStrictEqual(after, before)

        assert.strictEqual((yield* http.ask("DELETE", `/v1/server/tokens/${one.id}`, { token: operator })).status, 204)
        assert.strictEqual((yield* cut.client.closed).code, 4503)
        assert.strictEqual((yield* cut.calls.closed).code, 4503)
        assert.include(yield* cut.stream, "event: ready")
        assert.strictEqual((yield* http.ask("GET", "/v1/users/me", { token: one.token })).status, 401)
        yield* kept.client.ok("ping")
        assert.strictEqual((yield* http.ask("POST", `${path}/revoke`, { token: operator })).status, 204)
        assert.strictEqual((yield* kept.client.closed).code, 4503)
        assert.notInclude(JSON.stringify(log), one.token)
      })
  )

  it.effect("revokes a service token: sockets, streams and calls that act with it end, and no log has the token", () =>
    Effect.gen(function* () {
      const { log, url } = yield* Service
      const http = api(url)
      const tokens = yield* ServiceTokens
      const [ann, bob] = [yield* http.register("ann"), yield* http.register("bob")]
      const make = tokens.create("cli:test", { name: "test", scopes: ["act-as", "tokens", "audit"] })
      const [one, other, later] = [yield* make, yield* make, yield* make]
      const json = { kind: "group", title: "Group", memberIds: [bob.id] }
      const acting = { token: one.token, actAs: ann.id }
      const { id } = decodeId(yield* http.must("POST", "/v1/conversations", { ...acting, json }))

      const cut = yield* opened(one.token, ann.id)
      const kept = yield* opened(other.token, ann.id)
      const headers = { authorization: `Bearer ${one.token}`, "chat-act-as": bob.id }
      const alone = yield* Effect.promise(() => fetch(`${url}/v1/events`, { headers }))
      const sent = { conversationId: id, clientMessageId: "first", body: "hello" }
      assert.deepInclude(yield* cut.client.ok("message.send", sent), { seq: 2 })
      yield* cut.client.ok("message.list", { conversationId: id })
      assert.strictEqual((yield* cut.client.error("auth.token", { token: `${other.token}x` })).status, 401)

      assert.strictEqual((yield* http.ask("DELETE", `/v1/server/tokens/${one.id}`, { token: other.token })).status, 204)
      assert.strictEqual((yield* cut.client.closed).code, 4503)
      assert.strictEqual((yield* cut.calls.closed).code, 4503)
      assert.include(yield* cut.stream, "event: ready")
      assert.include(yield* Effect.promise(() => alone.text()), "event: ready")
      assert.strictEqual((yield* http.ask("GET", "/v1/users/me", acting)).status, 401)
      yield* kept.client.ok("ping")

      const audit = yield* http.must("GET", "/v1/server/audit?limit=3", { token: other.token })
      assert.deepStrictEqual(
        decodeLines(audit).items.map(({ act, actor, detail, target }) => [act, actor, target.id, detail]),
        [
          ["token.revoke", `token:${other.id}`, one.id, { name: "test" }],
          ["message.send", `token:${one.id}`, ann.id, { conversationId: id, clientMessageId: "first" }],
          ["conversation.create", `token:${one.id}`, ann.id, { memberIds: [bob.id] }]
        ]
      )

      const moved = yield* connect(url)
      yield* moved.ready(other.token, { actAs: ann.id })
      yield* moved.ok("auth.token", { token: later.token })
      yield* tokens.revoke("cli:test", later.id)
      assert.strictEqual((yield* moved.closed).code, 4503)

      yield* SqlClient.SqlClient.use((sql) => sql`DELETE FROM service_tokens WHERE id = ${other.id}`)
      assert.strictEqual((yield* kept.client.closed).code, 4503)
      const logged = JSON.stringify(log)
      assert.include(logged, one.id)
      for (const { token } of [one, other]) assert.notInclude(logged, token.slice(4, 20))
    })
  )
})
