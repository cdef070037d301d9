import { readFileSync } from "node:fs"
import { connect as connectTcp } from "node:net"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { SignJWT, UnsecuredJWT } from "jose"
import { someone } from "../support/Accounts.ts"
import { type Account, api, connect } from "../support/Client.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"
import { patience } from "../support/TimeLimits.ts"
import { type Answer, type Data, overHttp, overRpc, overRpcSocket, overSocket } from "../support/Transports.ts"

/** What hostile clients try over every transport, as docs/security.md lists it. */

type Ask = (url: string, name: string, data: Data, token: string) => Effect.Effect<Answer | undefined, unknown>

const transports: Readonly<Record<string, Ask>> = {
  HTTP: overHttp,
  RPC: overRpc,
  "RPC over a socket": (url, name, data, token) => Effect.scoped(overRpcSocket(url, name, data, token)),
  WebSocket: (url, name, data, token) =>
    Effect.scoped(
      Effect.gen(function* () {
        const client = yield* connect(url)
        yield* client.ready(token)
        return yield* overSocket(client, name, data)
      })
    )
}

const typeOf = (answer: Answer | undefined) => (answer === null ? "ok" : answer?.type)

const stage = Effect.gen(function* () {
  const { url } = yield* Service
  const http = api(url)
  const [me, friend] = [yield* http.register(), yield* http.register()]
  return { url, http, me, friend, conversationId: yield* http.dm(me, friend) }
})

const Stored = Schema.Struct({
  items: Schema.Array(
    Schema.Struct({ clientMessageId: Schema.String, body: Schema.String, senderId: Schema.String, seq: Schema.Int })
  )
})

/** The message with an id, as a member reads it. */
const storedAs = Effect.fnUntraced(function* (url: string, me: Account, conversationId: string, id: string) {
  const page = yield* api(url).must("GET", `/v1/conversations/${conversationId}/messages`, { token: me.token })
  const { items } = yield* Schema.decodeUnknownEffect(Stored)(page)
  return items.find(({ clientMessageId }) => clientMessageId === id)
})

const hostileTexts = [
  "'; DROP TABLE users; --",
  "%_\\",
  "chat.*.>",
  "\r\nGET / HTTP/1.1\r\n\r\n",
  "\u001b[2J\u001b[31m",
  "<img src=x onerror=alert(1)>",
  "{{constructor.constructor('return process')()}}",
  "__proto__"
]

layer(gatewayService({ limits: { loginFailuresPerMinute: 3 } }), { excludeTestServices: true })(
  "hostile clients",
  (it) => {
    for (const [transport, ask] of Object.entries(transports)) {
      describe(`over ${transport}`, () => {
        it.effect("fields that only the service sets have no effect", () =>
          Effect.gen(function* () {
            const { conversationId, friend, me, url } = yield* stage
            const planted = { seq: 99, senderId: friend.id, createdAt: "2001-01-01T00:00:00Z", role: "owner", id: "x" }
            const sent = { conversationId, clientMessageId: "mass", body: "mine", ...planted }
            assert.strictEqual(typeOf(yield* ask(url, "message.send", sent, me.token)), "ok")
            const stored = yield* storedAs(url, me, conversationId, "mass")
            assert.deepStrictEqual([stored?.senderId, stored?.seq], [me.id, 2])
          })
        )

        it.effect("hostile texts are stored as they are, and are no ids", () =>
          Effect.gen(function* () {
            const { conversationId, me, url } = yield* stage
            for (const [n, text] of hostileTexts.entries()) {
              const message = { conversationId, clientMessageId: `h${n}`, body: text }
              assert.strictEqual(typeOf(yield* ask(url, "message.send", message, me.token)), "ok", text)
              assert.strictEqual((yield* storedAs(url, me, conversationId, `h${n}`))?.body, text)
              const elsewhere = { ...message, conversationId: text.replaceAll(/[\r\n]/g, "") }
              const refused = typeOf(yield* ask(url, "message.send", elsewhere, me.token))
              assert.include(["/problems/not-found", "/problems/invalid-request"], refused, text)
            }
          })
        )

        it.effect("what is wrong with data is said in the same plain words", () =>
          Effect.gen(function* () {
            const { conversationId, me, url } = yield* stage
            const message = { conversationId, clientMessageId: "wrong", body: "" }
            const wrong: ReadonlyArray<readonly [name: string, data: Data, detail: string]> = [
              ["message.send", { conversationId, body: "" }, "clientMessageId is required"],
              ["message.send", { ...message, body: [] }, "body must be a string"],
              ["message.send", { ...message, clientMessageId: "" }, "clientMessageId must have a length of at least 1"],
              ["message.list", { conversationId, limit: "few" }, "limit must be a number"],
              ["message.list", { conversationId, limit: 0 }, "limit must be greater than or equal to 1"],
              [
                "conversation.update",
                { conversationId, historyForNewMembers: 1 },
                'historyForNewMembers must be "all" or "from-join"'
              ],
              ["conversation.create", { kind: "party" }, "the data must have one of the documented forms"],
              ["message.send", { ...message, payload: 1 }, "payload must be an object or null"],
              [
                "message.send",
                { ...message, type: "contact", payload: { userId: me.id } },
                "payload must have one of the documented forms"
              ],
              [
                "message.send",
                { ...message, type: "poll", payload: { options: ["x", "y"] } },
                "payload.question is required"
              ],
              ["presence.set", { status: [] }, 'status must be "online" or "away" or "dnd" or "invisible"']
            ]
            for (const [name, data, detail] of wrong)
              assert.strictEqual((yield* ask(url, name, data, me.token))?.detail, detail)
            const two = yield* ask(url, "message.send", { conversationId, body: 1 }, me.token)
            assert.deepStrictEqual(two?.errors, [
              { path: "clientMessageId", message: "is required" },
              { path: "body", message: "must be a string" }
            ])
          })
        )

        it.effect("text that cannot be stored, and pages beyond the limit, are invalid", () =>
          Effect.gen(function* () {
            const { conversationId, me, url } = yield* stage
            for (const body of ["a\u0000b", "\ud800", "x".repeat(8001), ""]) {
              const message = { conversationId, clientMessageId: "bad", body }
              assert.strictEqual(
                typeOf(yield* ask(url, "message.send", message, me.token)),
                "/problems/invalid-request"
              )
            }
            for (const limit of [0, 100_000])
              assert.strictEqual(
                typeOf(yield* ask(url, "message.list", { conversationId, limit }, me.token)),
                "/problems/invalid-request"
              )
          })
        )
      })
    }

    const openly = { HTTP: overHttp, RPC: overRpc, "RPC over a socket": transports["RPC over a socket"] ?? overRpc }
    for (const [transport, ask] of Object.entries(openly)) {
      it.effect(`guess passwords over ${transport}, and are counted together with the others`, () =>
        Effect.gen(function* () {
          const { http, url } = yield* stage
          const { password, username } = yield* http.register()
          const guess = { login: username, password: "wrong horse battery" }
          const over = Object.values(openly)
          for (const other of over)
            assert.strictEqual(typeOf(yield* other(url, "auth.login", guess, "")), "/problems/unauthenticated")
          const right = { login: username, password }
          assert.strictEqual(typeOf(yield* ask(url, "auth.login", right, "")), "/problems/rate-limited")
        })
      )

      it.effect(`cannot register with a weak password over ${transport}`, () =>
        Effect.gen(function* () {
          const { url } = yield* stage
          const { ip: _, ...person } = someone()
          for (const password of ["short", "12345678", "password1", "x".repeat(129)])
            assert.strictEqual(
              typeOf(yield* ask(url, "auth.register", { ...person, password }, "")),
              "/problems/invalid-request"
            )
        })
      )
    }

    it.effect("with forged tokens are refused over every transport", () =>
      Effect.gen(function* () {
        const { me, url } = yield* stage
        const claims = { sub: me.id, sid: me.sessionId, gen: 1, iss: "chat_socio", exp: 4_000_000_000 }
        const signed = (header: { alg: string } & Record<string, unknown>, key: string) =>
          Effect.promise(() => new SignJWT(claims).setProtectedHeader(header).sign(new TextEncoder().encode(key)))
        const other = "another secret of more than 32 bytes!"
        const forged = [
          "x.y.z",
          `${me.token}x`,
          new UnsecuredJWT(claims).encode(),
          yield* signed({ alg: "HS256", typ: "JWT" }, other),
          yield* signed({ alg: "HS512", typ: "JWT" }, other.repeat(2)),
          yield* signed({ alg: "HS256", typ: "JWT", jku: "https://example.com/keys" }, other)
        ]
        for (const token of forged) {
          for (const ask of [overHttp, overRpc, openly["RPC over a socket"]])
            assert.strictEqual(typeOf(yield* ask(url, "user.me", {}, token)), "/problems/unauthenticated")
          const client = yield* connect(url)
          client.request("hello", { token })
          assert.include([4501, 4502, 4503], (yield* client.closed).code)
        }
      })
    )

    it.effect("cannot have a token in the URL, over any transport", () =>
      Effect.gen(function* () {
        const { me, url } = yield* stage
        const query = `token=${me.token}&access_token=${me.token}`
        assert.strictEqual((yield* api(url).ask("GET", `/v1/users/me?${query}`)).status, 401)
        const calls = yield* connect(url, { path: `/rpc/ws?${query}`, described: false })
        calls.send({ _tag: "Request", id: "1", tag: "user.me", payload: null, headers: [] })
        assert.include(JSON.stringify((yield* calls.next(() => true)).json), "/problems/unauthenticated")
        const client = yield* connect(url, { path: `/v1/ws?${query}` })
        client.request("user.me")
        assert.strictEqual((yield* client.closed).code, 4500)
      })
    )

    it.effect("cannot make either socket compress frames", () =>
      Effect.gen(function* () {
        const { url } = yield* stage
        for (const path of ["/v1/ws", "/rpc/ws"]) {
          const answer = yield* raw(
            url,
            `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n` +
              "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n",
            /\r\n\r\n/
          )
          assert.match(answer, /^HTTP\/1\.1 101 /)
          assert.notMatch(answer, /sec-websocket-extensions/i)
        }
      })
    )

    it.effect("that send what a proxy could read in another way are refused, and their connection ends", () =>
      Effect.gen(function* () {
        const { url } = yield* stage
        const smuggled = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
        const head = "POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        for (const request of [
          `${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
          `${head}content-length: 5\r\ncontent-length: 6\r\n\r\n{"a"}${smuggled}`,
          `${head}transfer-encoding: gzip, chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`,
          `${head}transfer-encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`,
          `${head}x: a\r\n b\r\ncontent-length:\r\n 5\r\n\r\n{"a"}${smuggled}`
        ]) {
          const answers = yield* raw(url, request)
          assert.match(answers, /^HTTP\/1\.1 400 /, request)
          assert.strictEqual(answers.match(/HTTP\/1\.1 /g)?.length, 1, request)
        }
      })
    )
  }
)

/** Sends bytes over a new connection, and returns what comes back until it ends, or until it matches. */
const raw = (url: string, text: string, enough?: RegExp) =>
  Effect.callback<string>((resume) => {
    const socket = connectTcp(Number(new URL(url).port), "127.0.0.1")
    let received = ""
    socket.setEncoding("latin1")
    socket.on("data", (chunk) => {
      received += String(chunk)
      if (enough?.test(received)) resume(Effect.succeed(received))
    })
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(received)))
    socket.write(text)
    return Effect.sync(() => socket.destroy())
  }).pipe(Effect.timeout(patience), Effect.orDie)

describe("the packages", () => {
  const Manifest = Schema.Struct({
    dependencies: Schema.Record(Schema.String, Schema.String),
    devDependencies: Schema.Record(Schema.String, Schema.String),
    optionalDependencies: Schema.Record(Schema.String, Schema.String)
  })
  const Lock = Schema.Struct({
    packages: Schema.Record(
      Schema.String,
      Schema.Struct({
        link: Schema.optionalKey(Schema.Boolean),
        dev: Schema.optionalKey(Schema.Boolean),
        integrity: Schema.optionalKey(Schema.String)
      })
    )
  })
  const read = <S extends Schema.Top & { readonly DecodingServices: never }>(schema: S, file: string) =>
    Schema.decodeUnknownSync(Schema.fromJsonString(schema))(readFileSync(file, "utf8"))

  it("have exact versions, and a hash of each that the service runs with", () => {
    const manifest = read(Manifest, "package.json")
    for (const [name, version] of Object.values(manifest).flatMap(Object.entries))
      assert.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, name)
    for (const [path, { dev, integrity, link }] of Object.entries(read(Lock, "package-lock.json").packages)) {
      if (!path.includes("node_modules/") || link === true || dev === true) continue
      assert.match(integrity ?? "", /^sha512-/, path)
    }
  })
})
