import { connect as connectTcp } from "node:net"
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Schedule, Schema } from "effect"
import { Drain } from "../../src/services/Drain.ts"
import { Gateway } from "../../src/ws/Gateway.ts"
import { api, type Client, connect, frameBytes, ProblemBody } from "../support/Client.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"

const start = Effect.gen(function* () {
  const { url } = yield* Service
  return { url, http: api(url) }
})

const decodeProblem = Schema.decodeUnknownSync(Schema.fromJsonString(ProblemBody))

/** A socket that is served, and its user. */
const served = Effect.gen(function* () {
  const { http, url } = yield* start
  const account = yield* http.register()
  const client = yield* connect(url)
  yield* client.ready(account.token)
  return { account, client, http, url }
})

/** What comes back for these bytes, up to the end of the connection. */
const rawRequest = (url: string, text: string) =>
  Effect.callback<string>((resume) => {
    const socket = connectTcp(Number(new URL(url).port), "127.0.0.1")
    let received = ""
    socket.setEncoding("latin1")
    socket.on("data", (chunk) => {
      received += String(chunk)
    })
    socket.on("close", () => resume(Effect.succeed(received)))
    socket.write(text.replaceAll("\n", "\r\n"))
    return Effect.sync(() => socket.destroy())
  }).pipe(Effect.timeout(10_000), Effect.orDie)

const utf8 = (text: string) => Buffer.from(text)

layer(gatewayService({ server: { allowedOrigins: ["https://chat.example.com"] } }), { excludeTestServices: true })(
  "the upgrade",
  (it) => {
    it.effect("speaks our subprotocol, asked for or not, on both paths", () =>
      Effect.gen(function* () {
        const { http, url } = yield* start
        const { token } = yield* http.register()
        for (const path of ["/v1/ws", "/ws"]) {
          const plain = yield* connect(url, { path })
          assert.strictEqual(plain.protocol, "")
          yield* plain.ready(token)
          const asked = yield* connect(url, { path, protocols: ["chat.v2.cbor", "chat.v1.json"] })
          assert.strictEqual(asked.protocol, "chat.v1.json")
          yield* asked.ready(token)
        }
      })
    )

    it.effect("closes who speaks only other subprotocols with 4501", () =>
      Effect.gen(function* () {
        const { url } = yield* start
        const client = yield* connect(url, { protocols: ["chat.v9.json", "mqtt"] })
        assert.strictEqual((yield* client.closed).code, 4501)
        assert.deepStrictEqual(client.frames, [])
      })
    )

    it.effect("is for pages of allowed origins, and for programs that name none", () =>
      Effect.gen(function* () {
        const { url } = yield* start
        yield* connect(url, { origin: "https://chat.example.com" })
        for (const origin of [
          "https://evil.example.com",
          "http://chat.example.com",
          "https://chat.example.com.evil.com",
          "https://chat.example.com:444",
          "null",
          ""
        ]) {
          const refused = yield* Effect.flip(connect(url, { headers: { origin } }))
          assert.strictEqual(refused.status, 403, origin)
          assert.strictEqual(decodeProblem(refused.body).type, "/problems/forbidden")
        }
      })
    )

    it.effect("must be asked for: a plain GET is told so, in a problem", () =>
      Effect.gen(function* () {
        const { http } = yield* start
        for (const path of ["/v1/ws", "/ws"]) {
          const answer = yield* http.ask("GET", path)
          assert.strictEqual(answer.status, 426)
          assert.strictEqual(answer.headers.get("upgrade"), "websocket")
          assert.include(answer.headers.get("content-type") ?? "", "application/problem+json")
        }
        assert.strictEqual((yield* http.ask("POST", "/v1/ws")).status, 405)
      })
    )

    it.effect("that is malformed is refused in a problem, and the service goes on", () =>
      Effect.gen(function* () {
        const { http, url } = yield* start
        const handshakes = [
          "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: short",
          "Sec-WebSocket-Version: 13",
          "Sec-WebSocket-Version: 99\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
          "Sec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\nSec-WebSocket-Protocol: a,,b"
        ]
        for (const headers of handshakes) {
          const answer = yield* rawRequest(
            url,
            `GET /v1/ws HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\n${headers}\n\n`
          )
          assert.match(answer, /^HTTP\/1\.1 4\d\d /)
          assert.include(answer, "application/problem+json", headers)
        }
        assert.strictEqual((yield* http.ask("GET", "/health")).status, 200)
      })
    )
  }
)

layer(gatewayService({ limits: { socketsPerAddress: 6, unauthenticatedSocketsPerAddress: 3 } }), {
  excludeTestServices: true
})("sockets of one address", (it) => {
  it.effect("are limited, those without a hello more so, and a closed one makes room", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const gateway = yield* Gateway
      const { token } = yield* http.register()
      const silent = [yield* connect(url), yield* connect(url), yield* connect(url)]
      const refused = yield* Effect.flip(connect(url))
      assert.strictEqual(refused.status, 429)
      assert.isDefined(refused.headers["retry-after"])
      for (const client of silent) yield* client.ready(token)
      for (let n = 0; n < 2; n++) yield* connect(url)
      yield* (yield* connect(url)).ready(token)
      assert.strictEqual((yield* Effect.flip(connect(url))).status, 429)
      assert.strictEqual(gateway.size(), 6)
      silent[0]?.terminate()
      yield* connect(url).pipe(Effect.retry({ schedule: Schedule.spaced(10), times: 1000 }))
    })
  )
})

const broken: ReadonlyArray<readonly [string, (client: Client) => void]> = [
  ["text that is no JSON", (client) => client.raw("{")],
  ["an empty text", (client) => client.raw("")],
  ["JSON that is no command", (client) => client.raw("42")],
  ["null", (client) => client.raw("null")],
  ["a command without id", (client) => client.raw(`{"op":"ping"}`)],
  ["a command without op", (client) => client.raw(`{"id":1}`)],
  ["an id of a wrong type", (client) => client.raw(`{"id":{},"op":"ping"}`)],
  ["an id that is no number any more", (client) => client.raw(`{"id":1e999,"op":"ping"}`)],
  ["an op of a wrong type", (client) => client.raw(`{"id":1,"op":["ping"]}`)],
  ["an array with something else in it", (client) => client.raw(`[{"id":1,"op":"ping"},7]`)],
  ["an array with nothing in it", (client) => client.raw("[]")],
  ["an array in an array", (client) => client.raw(`[[{"id":1,"op":"ping"}]]`)],
  ["10,000-deep arrays", (client) => client.raw("[".repeat(10_000) + "]".repeat(10_000))],
  [
    "10,000-deep objects in data",
    (client) => client.raw(`{"id":1,"op":"ping","data":${`{"a":`.repeat(10_000)}1${"}".repeat(10_000)}}`)
  ],
  ["10,000-deep arrays that never end", (client) => client.raw("[".repeat(10_000))],
  ["a binary frame", (client) => client.raw(frameBytes(utf8(`{"id":1,"op":"ping"}`), { opcode: 2 }))],
  ["invalid UTF-8", (client) => client.raw(frameBytes(Buffer.from([0x22, 0xff, 0x22])))],
  ["a surrogate in UTF-8", (client) => client.raw(frameBytes(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])))],
  ["RSV1", (client) => client.raw(frameBytes(utf8(`{"id":1,"op":"ping"}`), { rsv: 4 }))],
  ["RSV3", (client) => client.raw(frameBytes(utf8(`{"id":1,"op":"ping"}`), { rsv: 1 }))],
  ["an unmasked frame", (client) => client.raw(frameBytes(utf8(`{"id":1,"op":"ping"}`), { masked: false }))],
  ["an unknown opcode", (client) => client.raw(frameBytes(utf8("x"), { opcode: 5 }))],
  ["a control frame in parts", (client) => client.raw(frameBytes(utf8("x"), { opcode: 9, fin: false }))],
  ["a ping that is too long", (client) => client.raw(frameBytes(Buffer.alloc(126), { opcode: 9 }))],
  ["a continuation of nothing", (client) => client.raw(frameBytes(utf8("x"), { opcode: 0 }))],
  ["a close code that must not be sent", (client) => client.raw(frameBytes(Buffer.from([3, 237]), { opcode: 8 }))]
]

layer(gatewayService(), { excludeTestServices: true })("a broken frame", (it) => {
  for (const [name, send] of broken) {
    it.effect(`${name}: 4500, and nobody else notices`, () =>
      Effect.gen(function* () {
        const { client, http, url } = yield* served
        const other = yield* connect(url)
        yield* other.ready((yield* http.register()).token)
        send(client)
        assert.strictEqual((yield* client.closed).code, 4500)
        assert.deepStrictEqual(yield* other.ok("ping"), {})
        const before = yield* connect(url)
        send(before)
        assert.strictEqual((yield* before.closed).code, 4500)
      })
    )
  }

  it.effect("whatever a client sends after it counts for nothing", () =>
    Effect.gen(function* () {
      const { account, client, http } = yield* served
      const id = yield* http.dm(account, account)
      client.raw(
        Buffer.concat([
          frameBytes(utf8("{")),
          frameBytes(
            utf8(
              JSON.stringify({
                id: 1,
                op: "message.send",
                data: { conversationId: id, clientMessageId: "m", body: "m" }
              })
            )
          )
        ])
      )
      assert.strictEqual((yield* client.closed).code, 4500)
      assert.deepStrictEqual(yield* http.history(account, id), [])
    })
  )

  it.effect("a text in parts is one frame", () =>
    Effect.gen(function* () {
      const { client } = yield* served
      client.raw(frameBytes(utf8(`{"id":"pä`).subarray(0, 9), { fin: false }))
      client.raw(frameBytes(utf8(`{"id":"pä`).subarray(9), { fin: false, opcode: 0 }))
      client.raw(frameBytes(utf8(`rts","op":"ping"}`), { opcode: 0 }))
      assert.deepStrictEqual((yield* client.answer("pärts")).ok, {})
    })
  )

  it.effect("a close is answered with the same code", () =>
    Effect.gen(function* () {
      const { client } = yield* served
      client.close(4321)
      assert.strictEqual((yield* client.closed).code, 4321)
    })
  )
})

layer(gatewayService({ limits: { helloBytes: 8000, frameBytes: 2000 } }), { excludeTestServices: true })(
  "a frame's size",
  (it) => {
    const padded = (bytes: number, frame: object) => {
      const text = JSON.stringify({ ...frame, pad: "" })
      return text.replace(`"pad":""`, `"pad":"${"x".repeat(bytes - text.length)}"`)
    }

    it.effect("may be larger for hello", () =>
      Effect.gen(function* () {
        const { http, url } = yield* start
        const { token } = yield* http.register()
        const client = yield* connect(url)
        client.raw(padded(8000, { id: 1, op: "hello", data: { token } }))
        assert.isDefined((yield* client.answer(1)).ok)
        client.raw(padded(2000, { id: 2, op: "ping" }))
        assert.isDefined((yield* client.answer(2)).ok)
        client.raw(padded(2001, { id: 3, op: "ping" }))
        assert.strictEqual((yield* client.closed).code, 4506)
      })
    )

    it.effect("ends the socket beyond the limit, at hello and beyond what is read at all", () =>
      Effect.gen(function* () {
        const { http, url } = yield* start
        const { token } = yield* http.register()
        const hello = { id: 1, op: "hello", data: { token } }
        for (const size of [8001, 100_000]) {
          const client = yield* connect(url)
          client.raw(padded(size, hello))
          assert.strictEqual((yield* client.closed).code, 4506, String(size))
        }
        const client = yield* connect(url)
        yield* client.ready(token)
        client.raw(padded(1_000_000, { id: 2, op: "ping" }))
        assert.strictEqual((yield* client.closed).code, 4506)
        // Counted in bytes, not in characters.
        const wide = yield* connect(url)
        yield* wide.ready(token)
        wide.raw(JSON.stringify({ id: 3, op: "ping", pad: "€".repeat(700) }))
        assert.strictEqual((yield* wide.closed).code, 4506)
        // In parts it is the whole that counts.
        const parts = yield* connect(url)
        yield* parts.ready(token)
        parts.raw(frameBytes(Buffer.alloc(8000, "x"), { fin: false }))
        parts.raw(frameBytes(Buffer.alloc(8000, "x"), { fin: false, opcode: 0 }))
        assert.strictEqual((yield* parts.closed).code, 4506)
      })
    )
  }
)

layer(gatewayService(), { excludeTestServices: true })("the end of a session", (it) => {
  it.effect("ends its sockets with 4503, on logout, and no other", () =>
    Effect.gen(function* () {
      const { account, client, http, url } = yield* served
      const second = yield* connect(url)
      yield* second.ready(account.token)
      const other = yield* http.login(account.username, account.password)
      const kept = yield* connect(url)
      yield* kept.ready(other.token)
      yield* http.must("POST", "/v1/auth/logout", { token: account.token })
      assert.strictEqual((yield* client.closed).code, 4503)
      assert.strictEqual((yield* second.closed).code, 4503)
      assert.deepStrictEqual(yield* kept.ok("ping"), {})
    })
  )

  it.effect("by another device", () =>
    Effect.gen(function* () {
      const { account, client, http } = yield* served
      const other = yield* http.login(account.username, account.password)
      yield* http.must("DELETE", `/v1/sessions/${account.sessionId}`, { token: other.token })
      assert.strictEqual((yield* client.closed).code, 4503)
    })
  )

  it.effect("by a change of the password, which keeps the one that changed it", () =>
    Effect.gen(function* () {
      const { account, client, http, url } = yield* served
      const other = yield* http.login(account.username, account.password)
      const lost = yield* connect(url)
      yield* lost.ready(other.token)
      yield* http.must("POST", "/v1/auth/password", {
        token: account.token,
        json: { currentPassword: account.password, newPassword: "another horse" }
      })
      assert.strictEqual((yield* lost.closed).code, 4503)
      assert.deepStrictEqual(yield* client.ok("ping"), {})
    })
  )

  it.effect("follows the socket to the session that its newest token is of", () =>
    Effect.gen(function* () {
      const { account, client, http } = yield* served
      const other = yield* http.login(account.username, account.password)
      yield* client.ok("auth.token", { token: other.token })
      yield* http.must("POST", "/v1/auth/logout", { token: account.token })
      assert.deepStrictEqual(yield* client.ok("ping"), {})
      yield* http.must("POST", "/v1/auth/logout", { token: other.token })
      assert.strictEqual((yield* client.closed).code, 4503)
    })
  )
})

layer(gatewayService({ timers: { heartbeat: 200, heartbeatAnswer: 300 } }), { excludeTestServices: true })(
  "the heartbeat",
  (it) => {
    it.effect("asks after a silence, and ends the socket of who does not answer", () =>
      Effect.gen(function* () {
        const { client } = yield* served
        assert.deepStrictEqual((yield* client.event("ping")).json, { event: "ping" })
        assert.strictEqual((yield* client.closed).code, 4002)
        assert.strictEqual(client.frames.filter(({ event }) => event === "ping").length, 1)
      })
    )

    it.effect("is answered by any frame, also one of the protocol", () =>
      Effect.gen(function* () {
        const { client } = yield* served
        const answers: ReadonlyArray<() => void> = [
          () => client.request("ping"),
          () => client.request("no.such.op"),
          () => client.raw(frameBytes(utf8("here"), { opcode: 9 })),
          () => client.raw(frameBytes(utf8("here"), { opcode: 10 }))
        ]
        for (const answer of [...answers, ...answers]) {
          yield* client.event("ping")
          answer()
        }
        yield* client.event("ping")
        assert.strictEqual((yield* client.closed).code, 4002)
      })
    )

    it.effect("leaves who speaks alone", () =>
      Effect.gen(function* () {
        const { account, client, http } = yield* served
        const id = yield* http.dm(account, account)
        const silent = yield* connect(yield* Effect.map(Service, ({ url }) => url))
        yield* silent.ready(account.token)
        // As long as another one needs to be given up.
        const talk = Effect.forever(
          Effect.andThen(client.command("read.mark", { conversationId: id, seq: 1 }), Effect.sleep(50))
        )
        yield* Effect.raceFirst(talk, silent.closed)
        assert.isFalse(client.isClosed)
      })
    )

    it.effect("ends a socket whose other side has vanished without a word", () =>
      Effect.gen(function* () {
        const { client } = yield* served
        const gateway = yield* Gateway
        client.pause()
        yield* Effect.sync(() => gateway.size()).pipe(
          Effect.tap(Effect.sleep(10)),
          Effect.repeat({ until: (size) => size === 0 }),
          Effect.timeout(10_000)
        )
        client.resume()
        assert.strictEqual((yield* client.closed).code, 4002)
      })
    )
  }
)

layer(gatewayService({ limits: { commandsPerSecond: 20, commandsBurst: 60, commandsInFlight: 8 } }), {
  excludeTestServices: true
})("commands beyond the limits", (it) => {
  it.effect("are refused with the time to wait; after it they are welcome", () =>
    Effect.gen(function* () {
      const { client } = yield* served
      const ids = Array.from({ length: 65 }, () => client.request("ping"))
      const answers = yield* Effect.forEach(ids, (id) => client.answer(id))
      assert.isTrue(answers.slice(0, 60).every(({ ok }) => ok !== undefined))
      const refused = answers.filter(({ error }) => error !== undefined)
      assert.isAtLeast(refused.length, 1)
      for (const { error } of refused) {
        assert.strictEqual(error?.type, "/problems/rate-limited")
        assert.strictEqual(error?.status, 429)
        assert.isTrue(error?.retryAfterMs !== undefined && error.retryAfterMs > 0 && error.retryAfterMs <= 50)
      }
      yield* Effect.sleep(refused.at(-1)?.error?.retryAfterMs ?? 0)
      assert.deepStrictEqual(yield* client.ok("ping"), {})
    })
  )

  it.effect("of one array count each; going on ends the socket with 4006", () =>
    Effect.gen(function* () {
      const { client } = yield* served
      client.send(Array.from({ length: 400 }, (_, id) => ({ id, op: "ping" })))
      assert.strictEqual((yield* client.closed).code, 4006)
      assert.strictEqual(client.frames.filter(({ ok, id }) => ok !== undefined && typeof id === "number").length, 61)
    })
  )

  it.effect("also pings of the protocol", () =>
    Effect.gen(function* () {
      const { client } = yield* served
      const flood = Effect.sync(() => client.raw(frameBytes(utf8("x"), { opcode: 9 })))
      yield* Effect.raceFirst(client.closed, Effect.forever(Effect.andThen(flood, Effect.sleep(1))))
      assert.strictEqual((yield* client.closed).code, 4006)
      // In one go: the connection is cut before the answers pile up.
      const { client: second } = yield* served
      second.raw(Buffer.concat(Array.from({ length: 10_000 }, () => frameBytes(utf8("x"), { opcode: 9 }))))
      assert.include([1006, 4006], (yield* second.closed).code)
    })
  )

  it.effect("do not count for the others of the user", () =>
    Effect.gen(function* () {
      const { account, client, url } = yield* served
      const other = yield* connect(url)
      yield* other.ready(account.token)
      for (let n = 0; n < 60; n++) client.request("ping")
      yield* client.error("ping")
      assert.deepStrictEqual(yield* other.ok("ping"), {})
    })
  )
})

layer(gatewayService({ timers: { drain: 100 } }), { excludeTestServices: true })("a drain", (it) => {
  it.effect("sends everybody elsewhere, lets what is in flight finish, and closes with 4005", () =>
    Effect.gen(function* () {
      const { account, client, http, url } = yield* served
      const gateway = yield* Gateway
      const drain = yield* Drain
      const id = yield* http.dm(account, account)
      const unheard = yield* connect(url)
      const leaving = yield* connect(url)
      yield* leaving.ready(account.token)
      const sends = Array.from({ length: 50 }, (_, n) =>
        client.request("message.send", { conversationId: id, clientMessageId: `m${n}`, body: "x" })
      )
      const drained = yield* Effect.forkChild(gateway.drain)
      const { data, json } = yield* leaving.event("reconnect")
      assert.deepStrictEqual(json, { event: "reconnect", data: { afterMs: data?.afterMs } })
      assert.isTrue(data?.afterMs !== undefined && data.afterMs >= 0 && data.afterMs <= 100)
      leaving.close()
      assert.strictEqual((yield* leaving.closed).code, 1000)
      assert.isTrue(drain.isDraining())
      const refused = yield* Effect.flip(connect(url))
      assert.strictEqual(refused.status, 503)
      const ready = yield* http.ask("GET", "/ready")
      assert.strictEqual(ready.status, 503)
      for (const send of sends) assert.isDefined((yield* client.answer(send)).ok)
      assert.strictEqual((yield* client.closed).code, 4005)
      assert.strictEqual((yield* unheard.closed).code, 4005)
      yield* Fiber.join(drained)
      assert.strictEqual((yield* http.history(account, id)).length, 50)
    })
  )
})
