import { channel } from "node:diagnostics_channel"
import { connect as connectTcp, Socket } from "node:net"
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Schedule, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { CloseCode, subprotocol } from "../../src/domain/Protocol.ts"
import { Drain } from "../../src/services/platform/readiness/Drain.ts"
import { Gateway } from "../../src/ws/Gateway.ts"
import { api, type Client, connect, frameBytes, ProblemBody } from "../support/Client.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"
import { patience } from "../support/TimeLimits.ts"

const start = Effect.gen(function* () {
  const { url } = yield* Service
  return { url, http: api(url) }
})

const decodeProblem = Schema.decodeUnknownSync(Schema.fromJsonString(ProblemBody))

/** A socket after hello, and its user. */
const served = Effect.gen(function* () {
  const { http, url } = yield* start
  const account = yield* http.register()
  const client = yield* connect(url)
  yield* client.ready(account.token)
  return { account, client, http, url }
})

/** Sends a request and the bytes behind it in one piece, and returns everything that comes back until the connection ends. */
const rawRequest = (url: string, text: string, ...behind: ReadonlyArray<Uint8Array>) =>
  Effect.callback<string>((resume) => {
    const socket = connectTcp(Number(new URL(url).port), "127.0.0.1")
    let received = ""
    socket.setEncoding("latin1")
    socket.on("data", (chunk) => {
      received += String(chunk)
    })
    socket.on("close", () => resume(Effect.succeed(received)))
    socket.write(Buffer.concat([Buffer.from(text.replaceAll("\n", "\r\n")), ...behind]))
    return Effect.sync(() => socket.destroy())
  }).pipe(Effect.timeout(patience), Effect.orDie)

/**
 * Sends frames on a socket, and returns how many of their bytes the service has taken when the connection is gone. With a
 * subprotocol of others the service closes the socket with 4501 as soon as it is open.
 */
const taken = (url: string, frames: ReadonlyArray<Uint8Array>, offered: string) =>
  Effect.callback<number>((resume) => {
    const client = connectTcp(Number(new URL(url).port), "127.0.0.1")
    const accepted = channel("net.server.socket")
    const note = (message: unknown) => {
      if (typeof message !== "object" || message === null || !("socket" in message)) return
      const { socket } = message
      if (!(socket instanceof Socket) || socket.remotePort !== client.localPort) return
      accepted.unsubscribe(note)
      socket.on("close", () => resume(Effect.succeed(socket.bytesRead - handshake.length)))
    }
    accepted.subscribe(note)
    const handshake =
      "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
      `Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ${offered}\r\n\r\n`
    client.on("error", () => {})
    // A close frame with 4501 was sent before the service reads what follows.
    client.once("data", () => client.resume().write(Buffer.concat(frames)))
    client.write(handshake)
    return Effect.sync(() => {
      accepted.unsubscribe(note)
      client.destroy()
    })
  }).pipe(Effect.timeout(patience), Effect.orDie)

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

    it.effect("closes sockets that offer only other subprotocols with 4501", () =>
      Effect.gen(function* () {
        const { url } = yield* start
        const client = yield* connect(url, { protocols: ["chat.v9.json", "mqtt"] })
        assert.strictEqual((yield* client.closed).code, 4501)
        assert.deepStrictEqual(client.frames, [])
      })
    )

    it.effect("that was refused with a close frame is followed by at most 64 frames that are read", () =>
      Effect.gen(function* () {
        const { url } = yield* start
        const text = frameBytes(Buffer.alloc(16_384, "x"))
        const ping = frameBytes(Buffer.alloc(120, "x"), { opcode: 9 })
        /** More than what the service may have read of the connection when it stops. */
        const oneRead = 256 * 1024
        const floodOf = (frame: Uint8Array) => Array.from({ length: Math.ceil(16_000_000 / frame.length) }, () => frame)
        for (const frame of [text, ping])
          assert.isBelow(yield* taken(url, floodOf(frame), "mqtt"), 64 * frame.length + oneRead)
        // After a broken frame none is read.
        assert.isBelow(yield* taken(url, [frameBytes(utf8("{")), ...floodOf(text)], subprotocol), oneRead)
        // A client whose frames were on their way can still answer the close frame.
        const few = [...Array.from({ length: 63 }, () => text), frameBytes(Buffer.from([0x03, 0xe8]), { opcode: 8 })]
        assert.strictEqual(yield* taken(url, few, "mqtt"), Buffer.concat(few).length)
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

    it.effect("is required: a plain GET is refused with a problem", () =>
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

    it.effect("may be followed by frames at once", () =>
      Effect.gen(function* () {
        const { url } = yield* start
        for (const path of ["/v1/ws", "/rpc/ws"]) {
          const answer = yield* rawRequest(
            url,
            `GET ${path} HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\n\n`,
            frameBytes(utf8("no JSON")),
            frameBytes(Buffer.from([0x03, 0xe8]), { opcode: 8 })
          )
          assert.match(answer, /^HTTP\/1\.1 101 /)
          const code = Buffer.from([CloseCode.badFrame >> 8, CloseCode.badFrame & 255]).toString("latin1")
          assert.include(answer, code, path)
        }
      })
    )

    it.effect("is refused with a problem when it is malformed", () =>
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
  it.effect("are limited, fewer before their hello, and a closed socket makes room", () =>
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

/** An address gets hardly anything after its burst. */
const burstAlone = { addressRequestsPerSecond: 0.01, addressRequestsBurst: 100 }

/** What makes a hello large. */
const cursors = Object.fromEntries(Array.from({ length: 4000 }, (_, n) => [`${"c".repeat(30)}${n}`, n]))

layer(gatewayService({ limits: burstAlone }), { excludeTestServices: true })(
  "an address whose large hellos have no valid token",
  (it) => {
    it.effect("pays for what was parsed of them, and can open no socket for a while", () =>
      Effect.gen(function* () {
        const { url } = yield* start
        const client = yield* connect(url)
        client.request("hello", { token: "bad", cursors })
        assert.strictEqual((yield* client.closed).code, 4502)
        assert.strictEqual((yield* Effect.flip(connect(url))).status, 429)
      })
    )
  }
)

/** Says hello while the database cannot say whose it is. */
const unanswered = Effect.fnUntraced(function* (hello: ReturnType<Client["hello"]>) {
  const sql = yield* SqlClient.SqlClient
  yield* sql`ALTER TABLE sessions RENAME TO lost`
  const { error } = yield* hello
  yield* sql`ALTER TABLE lost RENAME TO sessions`
  return error?.status
})

layer(gatewayService({ limits: burstAlone }), { excludeTestServices: true })(
  "an address with a large hello that meets a fault",
  (it) => {
    it.effect("pays for it all the same", () =>
      Effect.gen(function* () {
        const { http, url } = yield* start
        const { token } = yield* http.register()
        const client = yield* connect(url)
        assert.strictEqual(yield* unanswered(client.hello(token, { cursors })), 500)
        assert.strictEqual((yield* Effect.flip(connect(url))).status, 429)
      })
    )
  }
)

layer(gatewayService({ limits: burstAlone }), { excludeTestServices: true })(
  "an address with large frames after a hello that could not be answered",
  (it) => {
    it.effect("pays for them, and the one that it cannot pay for is not read", () =>
      Effect.gen(function* () {
        const { http, url } = yield* start
        const { token } = yield* http.register()
        const client = yield* connect(url)
        assert.strictEqual(yield* unanswered(client.hello(token)), 500)
        const ping = client.request("ping", { cursors })
        assert.isDefined((yield* client.hello(token)).ok, "a small one costs its address nothing")
        assert.deepStrictEqual((yield* client.answer(ping)).ok, {})
        assert.strictEqual((yield* Effect.flip(connect(url))).status, 429)
        client.request("ping", { x: "x".repeat(60_000) })
        assert.strictEqual((yield* client.closed).code, 4006)
      })
    )
  }
)

layer(
  gatewayService({
    limits: { ...burstAlone, commandsPerSecond: 0.01, commandsBurst: 1 }
  }),
  { excludeTestServices: true }
)("an address with a large hello beyond the limit of commands", (it) => {
  it.effect("pays for it", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const { token } = yield* http.register()
      const client = yield* connect(url)
      assert.strictEqual(yield* unanswered(client.hello(token)), 500)
      assert.strictEqual(yield* unanswered(client.hello(token)), 500)
      yield* connect(url)
      assert.strictEqual((yield* client.hello(token, { cursors })).error?.status, 429)
      assert.strictEqual((yield* Effect.flip(connect(url))).status, 429)
    })
  )
})

layer(gatewayService({ limits: burstAlone }), { excludeTestServices: true })(
  "an address that sends large frames",
  (it) => {
    it.effect("pays for them, and the one that it cannot pay for is not read", () =>
      Effect.gen(function* () {
        const { client } = yield* served
        const large = { x: "x".repeat(60_000) }
        for (const _ of Array.from({ length: 3 })) yield* client.ok("ping", large)
        assert.deepStrictEqual(yield* client.ok("ping"), {}, "a small one costs its address nothing")
        client.request("ping", large)
        assert.strictEqual((yield* client.closed).code, 4006)
      })
    )
  }
)

layer(gatewayService({ limits: { addressRequestsPerSecond: 100, addressRequestsBurst: 100 } }), {
  excludeTestServices: true
})("a large hello", (it) => {
  it.effect("waits until its address has paid for earlier ones, whatever makes it large", () =>
    Effect.gen(function* () {
      const { account, url } = yield* served
      const hello = { token: account.token, caps: Array.from({ length: 80_000 }, () => "") }
      const first = yield* connect(url)
      yield* first.ok("hello", hello)
      const second = yield* connect(url).pipe(Effect.retry({ schedule: Schedule.spaced(10), times: 1000 }))
      yield* second.ok("hello", hello)
      const third = yield* Effect.flip(connect(url))
      assert.strictEqual(third.status, 429)
    })
  )
})

const broken: ReadonlyArray<readonly [string, (client: Client) => void]> = [
  ["text that is no JSON", (client) => client.raw("{")],
  ["an empty text", (client) => client.raw("")],
  ["JSON that is no command", (client) => client.raw("42")],
  ["null", (client) => client.raw("null")],
  ["a command without id", (client) => client.raw(`{"op":"ping"}`)],
  ["an id of a wrong type", (client) => client.raw(`{"id":{},"op":"ping"}`)],
  ["an array with something else in it", (client) => client.raw(`[{"id":1,"op":"ping"},7]`)],
  ["an array with nothing in it", (client) => client.raw("[]")],
  [
    "more than 10,000 fields",
    (client) => client.raw(`{"id":1,"op":"hello","data":{${Array.from({ length: 10_000 }, () => `"a":1`).join()}}}`)
  ],
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

layer(gatewayService(), { excludeTestServices: true })("frames", (it) => {
  for (const [name, send] of broken) {
    it.effect(`a broken frame closes its socket alone with 4500: ${name}`, () =>
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

  it.effect("an invalid command is answered under its id, or under null", () =>
    Effect.gen(function* () {
      const { client, url } = yield* served
      const refusals = [
        [`{"id":1}`, 1],
        [`{"id":"a","op":["ping"]}`, "a"],
        [`{"id":2,"op":"ping","traceparent":3}`, 2],
        [`{"id":1790000000000000001,"op":"ping"}`, null],
        [`{"id":1e400,"op":"ping"}`, null],
        [`{"id":1e-400,"op":"ping"}`, null],
        [`{"id":2.00000000000000000001,"op":"ping"}`, null],
        [`{"id":1.5,"op":"ping"}`, null],
        [`{"id":"${"x".repeat(65)}","op":"ping"}`, null]
      ] as const
      for (const [frame, id] of refusals) {
        client.raw(frame)
        const { json } = yield* client.next(({ json }) => Object(json).error !== undefined)
        assert.deepStrictEqual([Object(json).id, Object(json).error.type], [id, "/problems/invalid-request"], frame)
      }
      for (const id of [9_007_199_254_740_991, -9_007_199_254_740_991, 0, "1790000000000000001"]) {
        client.raw(JSON.stringify({ id, op: "ping" }))
        yield* client.next(({ json }) => Object(json).id === id && Object(json).ok !== undefined)
      }
      // Before hello only a hello is accepted.
      for (const [frame] of refusals) {
        const before = yield* connect(url)
        before.raw(frame)
        assert.strictEqual((yield* before.closed).code, 4500, frame)
      }
    })
  )

  it.effect("a byte order mark before a frame is ignored", () =>
    Effect.gen(function* () {
      const { client } = yield* served
      client.raw(`\uFEFF{"id":"marked","op":"ping"}`)
      yield* client.next(({ json }) => Object(json).id === "marked" && Object(json).ok !== undefined)
    })
  )

  it.effect("everything after a broken frame is ignored", () =>
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

  it.effect("a text in several parts is one frame", () =>
    Effect.gen(function* () {
      const { client } = yield* served
      client.raw(frameBytes(utf8(`{"id":"pä`).subarray(0, 9), { fin: false }))
      client.raw(frameBytes(utf8(`{"id":"pä`).subarray(9), { fin: false, opcode: 0 }))
      client.raw(frameBytes(utf8(`rts","op":"ping"}`), { opcode: 0 }))
      assert.deepStrictEqual((yield* client.answer("pärts")).ok, {})
    })
  )

  it.effect("a close frame is answered with the same code", () =>
    Effect.gen(function* () {
      const { client } = yield* served
      client.close(4321)
      assert.strictEqual((yield* client.closed).code, 4321)
    })
  )
})

layer(gatewayService({ limits: { helloBytes: 8000, frameBytes: 2000 } }), { excludeTestServices: true })(
  "the size of a frame",
  (it) => {
    const padded = (bytes: number, frame: object) => {
      const text = JSON.stringify({ ...frame, pad: "" })
      return text.replace(`"pad":""`, `"pad":"${"x".repeat(bytes - text.length)}"`)
    }

    it.effect("may be larger for a hello", () =>
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

    it.effect("beyond a limit ends the socket", () =>
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
        // The size counts bytes, not characters.
        const wide = yield* connect(url)
        yield* wide.ready(token)
        wide.raw(JSON.stringify({ id: 3, op: "ping", pad: "€".repeat(700) }))
        assert.strictEqual((yield* wide.closed).code, 4506)
        // For a message in several frames, the size of the whole counts.
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
  it.effect("by a command is answered before the socket closes", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const account = yield* http.register()
      const sockets = yield* Effect.forEach([1, 2], () => connect(url))
      const [leaving, staying] = sockets
      if (leaving === undefined || staying === undefined) return yield* Effect.die("no sockets")
      yield* leaving.ready(account.token)
      const other = yield* http.login(account.username, account.password)
      yield* staying.ready(other.token)
      assert.deepStrictEqual(yield* leaving.ok("auth.logout"), {})
      assert.strictEqual((yield* leaving.closed).code, 4503)
      assert.deepStrictEqual(yield* staying.ok("user.delete", { password: account.password }), {})
      assert.strictEqual((yield* staying.closed).code, 4504)
    })
  )

  it.effect("on logout closes its sockets with 4503, and no others", () =>
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

  it.effect("by another device closes its sockets", () =>
    Effect.gen(function* () {
      const { account, client, http } = yield* served
      const other = yield* http.login(account.username, account.password)
      yield* http.must("DELETE", `/v1/sessions/${account.sessionId}`, { token: other.token })
      assert.strictEqual((yield* client.closed).code, 4503)
    })
  )

  it.effect("by a change of the password spares the session that changed it", () =>
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

  it.effect("is that of the session to which the newest token of the socket belongs", () =>
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
    it.effect("pings a silent client, and closes the socket when no answer comes", () =>
      Effect.gen(function* () {
        const { client } = yield* served
        assert.deepStrictEqual((yield* client.event("ping")).json, { event: "ping" })
        assert.strictEqual((yield* client.closed).code, 4002)
        assert.strictEqual(client.frames.filter(({ event }) => event === "ping").length, 1)
      })
    )

    it.effect("counts any frame as an answer, also a pong of the protocol", () =>
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

    it.effect("does not ping a client that sends frames", () =>
      Effect.gen(function* () {
        const { account, client, http } = yield* served
        const id = yield* http.dm(account, account)
        const silent = yield* connect(yield* Effect.map(Service, ({ url }) => url))
        yield* silent.ready(account.token)
        // This takes as long as the timeout of a silent socket.
        const talk = Effect.forever(
          Effect.andThen(client.command("read.mark", { conversationId: id, seq: 1 }), Effect.sleep(50))
        )
        yield* Effect.raceFirst(talk, silent.closed)
        assert.isFalse(client.isClosed)
      })
    )

    it.effect("ends a socket whose other side has vanished without a close frame", () =>
      Effect.gen(function* () {
        const { client } = yield* served
        const gateway = yield* Gateway
        client.pause()
        yield* Effect.sync(() => gateway.size()).pipe(
          Effect.tap(Effect.sleep(10)),
          Effect.repeat({ until: (size) => size === 0 }),
          Effect.timeout(patience)
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
  it.effect("are refused with the time to wait, and accepted after it", () =>
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

  it.effect("in one array count one by one, and more of them close the socket with 4006", () =>
    Effect.gen(function* () {
      const { client } = yield* served
      const pings = (length: number) => Array.from({ length }, (_, id) => ({ id, op: "ping" }))
      client.send(pings(121))
      assert.strictEqual((yield* client.closed).code, 4006)
      assert.strictEqual(client.frames.filter(({ ok, id }) => ok !== undefined && typeof id === "number").length, 61)
      // An array of more than that is not read at all.
      const { client: second } = yield* served
      const answered = second.frames.length
      second.send(pings(122))
      assert.strictEqual((yield* second.closed).code, 4006)
      assert.strictEqual(second.frames.length, answered)
      const before = yield* connect((yield* start).url)
      before.raw(`[${Array.from({ length: 122 }, () => 7).join()}]`)
      assert.strictEqual((yield* before.closed).code, 4006)
    })
  )

  it.effect("count as more by the size of their frame", () =>
    Effect.gen(function* () {
      const { client } = yield* served
      const large = { x: "x".repeat(60_000) }
      for (const _ of Array.from({ length: 7 })) client.request("ping", large)
      assert.strictEqual((yield* client.error("ping", large)).type, "/problems/rate-limited")
    })
  )

  it.effect("before the hello is answered close the socket too", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const { token } = yield* http.register()
      const client = yield* connect(url)
      const early = Array.from({ length: 400 }, (_, id) => ({ id, op: "ping" }))
      client.send([{ id: "hello", op: "hello", data: { token } }, ...early])
      assert.strictEqual((yield* client.closed).code, 4006)
      assert.isBelow(client.frames.length, 200)
    })
  )

  it.effect("include pings of the protocol", () =>
    Effect.gen(function* () {
      const { client } = yield* served
      const flood = Effect.sync(() => client.raw(frameBytes(utf8("x"), { opcode: 9 })))
      yield* Effect.raceFirst(client.closed, Effect.forever(Effect.andThen(flood, Effect.sleep(1))))
      assert.strictEqual((yield* client.closed).code, 4006)
      // All frames are sent at once, because the connection is cut before the answers pile up.
      const { client: second } = yield* served
      second.raw(Buffer.concat(Array.from({ length: 10_000 }, () => frameBytes(utf8("x"), { opcode: 9 }))))
      assert.include([1006, 4006], (yield* second.closed).code)
    })
  )

  it.effect("do not count for other sockets of the user", () =>
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

layer(gatewayService({ timers: { drain: 1000 } }), { excludeTestServices: true })("a drain", (it) => {
  it.effect("asks clients to reconnect elsewhere, finishes commands in flight, and closes with 4005", () =>
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
      assert.isTrue(data?.afterMs !== undefined && data.afterMs >= 0 && data.afterMs <= 1000)
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

const busyDrainMs = 50
layer(gatewayService({ timers: { drain: busyDrainMs } }), { excludeTestServices: true })(
  "a drain of a busy node",
  (it) => {
    it.effect("finishes commands that had arrived while the node was too busy to read them", () =>
      Effect.gen(function* () {
        const { account, client, http } = yield* served
        const gateway = yield* Gateway
        const id = yield* http.dm(account, account)
        const send = client.request("message.send", { conversationId: id, clientMessageId: "m", body: "x" })
        const drained = yield* Effect.forkChild(gateway.drain)
        yield* Effect.yieldNow
        // The event loop stands still until every time-out of the drain is over.
        const end = performance.now() + 4 * busyDrainMs
        while (performance.now() < end);
        assert.isDefined((yield* client.answer(send)).ok)
        assert.strictEqual((yield* client.closed).code, 4005)
        yield* Fiber.join(drained)
      })
    )
  }
)
