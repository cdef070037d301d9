import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { ClientMessageId, ConversationId, UserId } from "../../src/domain/Ids.ts"
import { someone } from "../support/Accounts.ts"
import { connect } from "../support/Client.ts"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"
import { rpcClient, type transports, withToken } from "../support/Rpc.ts"

const clientMessageId = ClientMessageId.make

for (const transport of ["http", "websocket"] as const satisfies ReadonlyArray<keyof typeof transports>) {
  layer(fakeService({ limits: { requestsPerMinute: 50 } }), { excludeTestServices: true })(
    `RPC over ${transport}`,
    (it) => {
      const client = HttpService.use(({ url }) => rpcClient(url, transport))

      it.effect("gives the same answers as HTTP, and returns the ids of calls unchanged", () =>
        Effect.gen(function* () {
          const rpc = yield* client
          const { ask } = yield* HttpService
          const { ip: _, ...person } = someone("rpc")
          const me = yield* rpc["auth.register"](person)
          const tokens = yield* rpc["auth.login"]({ login: person.username, password: person.password })
          assert.deepStrictEqual(tokens.user, me)
          const bob = yield* newcomer("bob")
          const asMe = withToken(tokens.accessToken)
          const dm = yield* asMe(rpc["conversation.create"]({ kind: "dm", userId: UserId.make(bob.id) }))
          const conversationId = dm.id
          const sent = yield* asMe(
            rpc["message.send"]({ conversationId, clientMessageId: clientMessageId("1"), body: "hello" })
          )
          assert.isFalse(sent.duplicate)
          yield* withToken(bob.token)(rpc["read.mark"]({ conversationId, seq: sent.message.seq }))
          const overHttp = yield* ask(`/v1/conversations/${conversationId}/messages/${sent.message.id}`, {
            token: bob.token
          })
          assert.deepStrictEqual(
            yield* asMe(rpc["message.get"]({ conversationId, messageId: sent.message.id })),
            overHttp.json as unknown
          )
          const { items } = yield* asMe(rpc["member.list"]({ conversationId }))
          assert.deepStrictEqual(
            items.map(({ readSeq, user }) => [user.id, readSeq]),
            [
              [me.id, sent.message.seq],
              [bob.id, sent.message.seq]
            ]
          )
        })
      )

      it.effect("finds a group again that HTTP made with the same idempotency key", () =>
        Effect.gen(function* () {
          const rpc = yield* client
          const { ask } = yield* HttpService
          const { token } = yield* newcomer("maker")
          const json = { kind: "group", title: "Once", memberIds: [] }
          const made = yield* ask("/v1/conversations", { token, json, headers: { "idempotency-key": "once" } })
          assert.strictEqual(made.status, 201)
          const again = yield* withToken(token)(
            rpc["conversation.create"]({ kind: "group", title: "Once", memberIds: [], idempotencyKey: "once" })
          )
          assert.strictEqual(again.id, made.json.id)
        })
      )

      it.effect("fails with the typed problems of the services", () =>
        Effect.gen(function* () {
          const rpc = yield* client
          const { token } = yield* newcomer("ann")
          const call = withToken(token)
          const conversationId = ConversationId.make("00000000-0000-7000-8000-000000000000")
          const tagOf = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>) =>
            Effect.match(effect, { onFailure: ({ _tag }) => _tag, onSuccess: () => "ok" })
          assert.strictEqual(yield* tagOf(call(rpc["conversation.get"]({ conversationId }))), "NotFound")
          assert.strictEqual(yield* tagOf(call(rpc["conversation.list"]({ limit: 1000 }))), "InvalidRequest")
          assert.strictEqual(yield* tagOf(rpc["user.me"]()), "Unauthenticated")
          assert.strictEqual(yield* tagOf(withToken("nonsense")(rpc["user.me"]())), "Unauthenticated")
          assert.strictEqual(
            yield* tagOf(rpc["auth.login"]({ login: "nobody", password: "12345678" })),
            "Unauthenticated"
          )
        })
      )

      it.effect("counts the calls of a session together with its requests", () =>
        Effect.gen(function* () {
          const rpc = yield* client
          const { ask } = yield* HttpService
          const { token } = yield* newcomer("busy")
          for (let i = 0; i < 49; i++) yield* withToken(token)(rpc["user.unread"]())
          assert.strictEqual((yield* ask("/v1/users/me", { token })).status, 200)
          const refused = yield* Effect.flip(withToken(token)(rpc["user.unread"]()))
          assert.strictEqual(refused._tag, "RateLimited")
        })
      )

      it.effect("refuses a session that has ended", () =>
        Effect.gen(function* () {
          // A socket over which the session has called is closed soon.
          const [rpc, other] = [yield* client, yield* client]
          const { token } = yield* newcomer("gone")
          const call = withToken(token)
          yield* call(rpc["auth.logout"]())
          const refused = yield* Effect.flip(call(other["user.me"]()))
          assert.deepStrictEqual(refused._tag === "Unauthenticated" ? refused.code : refused._tag, "session-ended")
        })
      )
    }
  )
}

const line = (message: object) => `${JSON.stringify(message)}\n`
const ndjson = { "content-type": "application/x-ndjson" }
const request = (tag: string, payload: unknown, token?: string) => ({
  _tag: "Request",
  id: "1",
  tag,
  payload,
  headers: token === undefined ? [] : [["authorization", `Bearer ${token}`]]
})

layer(fakeService({ limits: { requestBytes: 20_000, jsonDepth: 8 } }), { excludeTestServices: true })(
  "RPC by hand",
  (it) => {
    const post = (body: string, headers: Record<string, string> = ndjson) =>
      HttpService.use(({ ask }) => ask("/rpc", { method: "POST", body, headers }))

    it.effect("a payload that is not valid is a typed problem, which names the field", () =>
      Effect.gen(function* () {
        const { token } = yield* newcomer()
        const { headers, json } = yield* post(
          line(request("message.list", { conversationId: "x", limit: "many" }, token))
        )
        // A proxy must not wait for the end of what may be a stream.
        assert.strictEqual(headers.get("x-accel-buffering"), "no")
        assert.nestedInclude(json, {
          _tag: "Exit",
          "exit.cause[0]._tag": "Fail",
          "exit.cause[0].error.type": "/problems/invalid-request",
          "exit.cause[0].error.errors[0].path": "limit"
        })
      })
    )

    it.effect(
      "a call of an unknown operation is a typed problem, and so is one of an endpoint that only HTTP has",
      () =>
        Effect.gen(function* () {
          for (const tag of ["nothing", "health", "ready", "", "__proto__"]) {
            const { json } = yield* post(line(request(tag, null)))
            assert.nestedInclude(json, {
              "exit.cause[0]._tag": "Fail",
              "exit.cause[0].error.type": "/problems/invalid-request",
              "exit.cause[0].error.errors[0].path": "tag"
            })
          }
        })
    )

    it.effect("a byte order mark before a message is ignored", () =>
      Effect.gen(function* () {
        const { url } = yield* HttpService
        const { token } = yield* newcomer()
        const call = request("user.me", null, token)
        assert.include((yield* post(`\uFEFF${line(call)}`)).text, '"_tag":"Success"')
        const socket = yield* connect(url, { path: "/rpc/ws" })
        socket.raw(`\uFEFF${JSON.stringify(call)}`)
        yield* socket.next(({ json }) => Object(json)._tag === "Exit")
      })
    )

    it.effect("an operation without data has none, null or an empty object", () =>
      Effect.gen(function* () {
        const { token } = yield* newcomer()
        const { payload: _, ...without } = request("user.me", null, token)
        const answerTo = (call: object) => Effect.map(post(line(call)), ({ text }) => text)
        for (const call of [without, request("user.me", null, token), request("user.me", {}, token)])
          assert.include(yield* answerTo(call), '"_tag":"Success"', JSON.stringify(call))
        for (const payload of [[], "", { a: 1 }])
          assert.include(yield* answerTo(request("user.me", payload, token)), "/problems/invalid-request")
      })
    )

    it.effect("a body has a limited number of messages, each with its own id, and needs no final newline", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const { token } = yield* newcomer()
        const tags = (body: string) =>
          Effect.map(post(body), ({ status, text }) => [
            status,
            ...Array.from(text.matchAll(/^{"_tag":"(\w+)"/gm), (m) => m[1])
          ])
        const ping = line({ _tag: "Ping" })
        assert.deepStrictEqual(yield* tags(ping.repeat(16)), [200, ...Array.from({ length: 16 }, () => "Pong")])
        assert.deepStrictEqual(yield* tags(ping.repeat(17)), [200, "Defect"])
        const create = line(request("conversation.create", { kind: "group", title: "One" }, token))
        assert.deepStrictEqual(yield* tags(create + create), [200, "Defect"])
        assert.deepStrictEqual(yield* tags(line({ _tag: "Eof" }) + create), [200, "Defect"])
        assert.isEmpty((yield* ask("/v1/conversations", { token })).json.items, "nothing of it was done")
        assert.deepStrictEqual(yield* tags(create.trimEnd()), [200, "Exit"])
        assert.deepStrictEqual(yield* tags(create + line({ _tag: "Eof" })), [200, "Exit"])
      })
    )

    it.effect("a notification gets no answer, not even when it is wrong", () =>
      Effect.gen(function* () {
        const { text } = yield* post(line({ ...request("user.get", { userId: 5 }), isNotification: true }))
        assert.strictEqual(text, "")
      })
    )

    it.effect("an id that is in use is refused over a socket, which stays open", () =>
      Effect.gen(function* () {
        const { url } = yield* HttpService
        const { token } = yield* newcomer()
        const socket = yield* connect(url, { path: "/rpc/ws" })
        const stream = { ...request("events.stream", {}, token), id: "7" }
        socket.send([stream, stream])
        yield* socket.next(({ json }) => Object(json)._tag === "Defect")
        socket.send(request("user.me", null, token))
        yield* socket.next(({ json }) => Object(json)._tag === "Exit")
      })
    )

    it.effect("a broken handshake or frame is not logged as a bug", () =>
      Effect.gen(function* () {
        const { log, raw, url } = yield* HttpService
        const good = {
          host: "x",
          connection: "upgrade",
          upgrade: "websocket",
          "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
          "sec-websocket-version": "13"
        }
        for (const bad of [{ "sec-websocket-key": "short" }, { "sec-websocket-protocol": "a,,b" }]) {
          const head = Object.entries({ ...good, ...bad }).map(([name, value]) => `${name}: ${value}\r\n`)
          const answer = yield* raw(`GET /rpc/ws HTTP/1.1\r\n${head.join("")}\r\n`)
          assert.match(
            answer,
            /^HTTP\/1.1 400 [\s\S]*x-request-id[\s\S]*\/problems\/invalid-request/i,
            JSON.stringify(bad)
          )
        }
        const future = Object.entries({ ...good, "sec-websocket-version": "99" }).map((header) => header.join(": "))
        const answer = yield* raw(`GET /rpc/ws HTTP/1.1\r\n${future.join("\r\n")}\r\n\r\n`)
        assert.match(answer, /^HTTP\/1.1 426 [\s\S]*sec-websocket-version: 13/i, "RFC 6455 §4.2.2")
        const large = yield* connect(url, { path: "/rpc/ws" })
        large.raw(" ".repeat(300_000))
        assert.strictEqual((yield* large.closed).code, 4506)
        const broken = yield* connect(url, { path: "/rpc/ws" })
        broken.raw(Uint8Array.of(0x81, 0x81, 0, 0, 0, 0, 0xff))
        assert.strictEqual((yield* broken.closed).code, 4500)
        assert.isEmpty(log.filter(({ level }) => level === "ERROR"))
      })
    )

    it.effect("a frame that is not of the protocol is refused, and does not count as a fault", () =>
      Effect.gen(function* () {
        const { log } = yield* HttpService
        for (const body of [
          "nonsense\n",
          line({}),
          line({ _tag: "Request" }),
          "null\n",
          line({ ...request("user.me", null), headers: [1] }),
          line({ ...request("user.me", null), headers: Array.from({ length: 65 }, () => ["a", "b"]) })
        ]) {
          const { json, status } = yield* post(body)
          assert.deepStrictEqual([status, json._tag], [200, "Defect"], body)
        }
        assert.isEmpty(log.filter(({ level }) => level === "ERROR"))
      })
    )

    it.effect("bodies and methods are refused as over HTTP", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const statuses = [
          yield* post("x".repeat(20_001)),
          yield* post(line({ a: [[[[[[[[[1]]]]]]]]] })),
          yield* post("", { "content-type": "text/plain" }),
          yield* ask("/rpc"),
          yield* ask("/rpc/ws")
        ].map(({ status }) => status)
        assert.deepStrictEqual(statuses, [413, 400, 415, 405, 426])
      })
    )

    it.effect("the cookie is for pages of an allowed origin alone, whatever the call says", () =>
      Effect.gen(function* () {
        const { token } = yield* newcomer()
        const asked = (origin: string, headers: ReadonlyArray<ReadonlyArray<string>> = []) =>
          Effect.map(
            post(line({ ...request("user.me", null), headers }), {
              ...ndjson,
              cookie: `access_token=${token}`,
              origin
            }),
            ({ text }) => /"_tag":"Success"|\/problems\/[a-z-]+/.exec(text)?.[0]
          )
        assert.strictEqual(yield* asked("http://localhost:8080"), '"_tag":"Success"')
        assert.strictEqual(yield* asked("https://evil.example"), "/problems/forbidden")
        assert.strictEqual(
          yield* asked("https://evil.example", [["origin", "http://localhost:8080"]]),
          "/problems/forbidden"
        )
      })
    )

    it.effect("a socket is closed when a session that has called over it ends", () =>
      Effect.gen(function* () {
        const { ask, url } = yield* HttpService
        const { token } = yield* newcomer()
        const socket = yield* connect(url, { path: "/rpc/ws" })
        socket.send(request("user.me", null, token))
        yield* socket.next(() => true)
        yield* ask("/v1/auth/logout", { method: "POST", token })
        assert.deepStrictEqual(yield* socket.closed, { code: 4503, reason: "session ended" })
      })
    )

    it.effect("a page of another origin cannot connect", () =>
      Effect.gen(function* () {
        const { url } = yield* HttpService
        const refused = yield* Effect.flip(
          connect(url, { path: "/rpc/ws", headers: { origin: "https://evil.example" } })
        )
        assert.strictEqual(refused.status, 403)
      })
    )
  }
)

layer(fakeService({ limits: { socketsPerAddress: 3, unauthenticatedSocketsPerAddress: 2 } }), {
  excludeTestServices: true
})("sockets of RPC from one address", (it) => {
  it.effect("are bounded, and fewer while nobody has called over them", () =>
    Effect.gen(function* () {
      const { url } = yield* HttpService
      const { token } = yield* newcomer()
      const open = connect(url, { path: "/rpc/ws" })
      const first = yield* open
      yield* open
      assert.strictEqual((yield* Effect.flip(open)).status, 429)
      first.send(request("user.me", null, token))
      yield* first.next(() => true)
      yield* open
      assert.strictEqual((yield* Effect.flip(open)).status, 429)
    })
  )
})

layer(fakeService({ limits: { commandsBurst: 500 } }), { excludeTestServices: true })("a socket of RPC", (it) => {
  it.effect("serves no more calls while its peer does not read", () =>
    Effect.gen(function* () {
      const { ask, url } = yield* HttpService
      const { token } = yield* newcomer()
      const headers = { "content-type": "application/json" }
      const json = { kind: "group", title: "Much", memberIds: [] }
      const { id: conversationId } = (yield* ask("/v1/conversations", { method: "POST", token, headers, json })).json
      const path = `/v1/conversations/${conversationId}/messages`
      for (let i = 0; i < 50; i++)
        yield* ask(path, { method: "POST", token, json: { clientMessageId: `${i}`, body: "漢".repeat(8000) } })
      const socket = yield* connect(url, { path: "/rpc/ws", headers: { authorization: `Bearer ${token}` } })
      socket.pause()
      const last = { conversationId, clientMessageId: "last", body: "last" }
      for (let i = 0; i < 40; i++)
        socket.send({ ...request("message.list", { conversationId, limit: 50 }), id: `${i}` })
      socket.send({ ...request("message.send", last), id: "last" })
      const isSent = Effect.map(ask(`${path}?limit=1`, { token }), ({ text }) => text.includes('"last"'))
      // Its turn would have come long before.
      for (let i = 0; i < 50; i++) assert.isFalse(yield* isSent)
      socket.resume()
      yield* socket.next(({ json }) => Object(json).requestId === "last")
      assert.isTrue(yield* isSent)
    })
  )

  it.effect("goes on when calls that wait for their turn are interrupted", () =>
    Effect.gen(function* () {
      const { url } = yield* HttpService
      const { token } = yield* newcomer()
      const socket = yield* connect(url, { path: "/rpc/ws", headers: { authorization: `Bearer ${token}` } })
      const ids = Array.from({ length: 200 }, (_, i) => `${i}`)
      for (const id of ids) socket.send({ ...request("user.me", null), id })
      for (const requestId of ids) socket.send({ _tag: "Interrupt", requestId })
      for (const id of ids) yield* socket.next(({ json }) => Object(json).requestId === id)
      socket.send({ ...request("user.me", null), id: "after" })
      yield* socket.next(({ json }) => Object(json).requestId === "after")
    })
  )
})
