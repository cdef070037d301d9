import { channel } from "node:diagnostics_channel"
import { IncomingMessage } from "node:http"
import { connect, type Socket } from "node:net"
import { assert, describe, it, layer } from "@effect/vitest"
import { Array as Arr, Effect, Latch, Layer } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { makeNodeServer } from "../../src/http/server/NodeServer.ts"
import { HttpRoutes } from "../../src/http/server/Server.ts"
import { Settings } from "../../src/services/platform/Settings.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { fakeService, HttpService, httpService, newcomer } from "../support/HttpService.ts"

const get = (path: string, ...headers: ReadonlyArray<string>) =>
  `GET ${path} HTTP/1.1\r\n${["Host: x", ...headers].join("\r\n")}\r\n\r\n`

const statuses = (received: string) => [...received.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status))

const problemOf = (received: string): unknown => JSON.parse(received.slice(received.indexOf("\r\n\r\n") + 4))

/** How many bytes Node reads at a time. */
const oneRead = 65_536

/** A connection that stays open, and what it has received. */
const open = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly socket: Socket; readonly received: () => string; readonly closed: Effect.Effect<void> }>(
      (resume) => {
        const socket = connect(port, "127.0.0.1", () =>
          resume(
            Effect.succeed({
              socket,
              received: () => text,
              closed: Effect.callback<void>((done) => {
                if (socket.closed) done(Effect.void)
                else socket.once("close", () => done(Effect.void))
              })
            })
          )
        )
        let text = ""
        socket.on("data", (chunk) => {
          text += String(chunk)
        })
        socket.on("error", () => {})
      }
    ),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const until = (holds: () => boolean) => Effect.repeat(Effect.sleep("5 millis"), { until: () => Effect.sync(holds) })

/** A service with a route that counts the requests that it serves at the same time. */
const counting = (overrides: SettingsMemory.SettingsOverrides = {}) => {
  const gate = Latch.makeUnsafe()
  const seen = { now: 0, most: 0, total: 0 }
  const route = HttpRouter.add(
    "GET",
    "/slow",
    Effect.gen(function* () {
      seen.total++
      seen.most = Math.max(seen.most, ++seen.now)
      yield* gate.await
      seen.now--
      const { url } = yield* HttpServerRequest.HttpServerRequest
      return HttpServerResponse.text(url)
    })
  )
  const layer = httpService(Layer.merge(HttpRoutes, route)).pipe(Layer.provide(fakeServices(overrides)))
  return { gate, layer, seen }
}

describe("a connection", () => {
  it.effect("that comes before the routes are served is asked to come again", () =>
    Effect.gen(function* () {
      const { server } = makeNodeServer(yield* Settings)
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void server.listen(0, () => resume(Effect.void))),
        () => Effect.sync(() => server.close())
      )
      const address = server.address()
      const port = typeof address === "object" ? (address?.port ?? 0) : 0
      const { closed, received, socket } = yield* open(port)
      socket.write(get("/ready"))
      yield* closed
      assert.deepStrictEqual(statuses(received()), [503])
      assert.match(received(), /^retry-after: 1\r$/m)
      assert.deepInclude(problemOf(received()), {
        type: "/problems/unavailable",
        detail: "the service is starting or stopping"
      })
    }).pipe(Effect.provide(SettingsMemory.layerMemory()))
  )

  it.live("serves one request at a time, and answers in order", () => {
    const { gate, layer, seen } = counting()
    return Effect.gen(function* () {
      const { port } = yield* HttpService
      const { received, socket } = yield* open(port)
      socket.write(Array.from({ length: 20 }, (_, n) => get(`/slow?n=${n}`)).join(""))
      yield* until(() => seen.total === 1)
      assert.strictEqual(seen.total, 1)
      yield* gate.open
      yield* until(() => statuses(received()).length === 20)
      assert.deepStrictEqual([seen.most, seen.total], [1, 20])
      const order = [...received().matchAll(/\/slow\?n=(\d+)/g)].map(([, n]) => Number(n))
      assert.deepStrictEqual(
        order,
        Array.from({ length: 20 }, (_, n) => n)
      )
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("with thousands of pipelined requests is closed after a few answers, and delays nobody", () => {
    const { gate, layer, seen } = counting()
    return Effect.gen(function* () {
      const { ask, port } = yield* HttpService
      const { closed, received, socket } = yield* open(port)
      socket.write(get("/slow").repeat(10_000))
      yield* until(() => seen.total === 1)
      assert.strictEqual((yield* ask("/health")).status, 200)
      yield* gate.open
      yield* closed
      assert.deepStrictEqual([seen.most, seen.total], [1, 33])
      assert.isAtMost(statuses(received()).length, 33)
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live(
    "of an address that goes on pipelining is ended with all others of it, and it cannot connect for a while",
    () => {
      const { gate, layer, seen } = counting()
      return Effect.gen(function* () {
        const { ask, port } = yield* HttpService
        const flood = (localAddress: string) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              const socket = connect({ port, host: "127.0.0.1", localAddress })
              socket.on("error", () => {})
              socket.write(get("/slow").repeat(10_000))
              return socket
            }),
            (socket) => Effect.sync(() => socket.destroy())
          )
        const floods = yield* Effect.forEach(Array.from({ length: 12 }), () => flood("127.0.0.3"))
        yield* until(() => floods.every(({ closed }) => closed))
        assert.isAtMost(seen.total, 12)
        assert.strictEqual((yield* ask("/health")).status, 200, "from another address")
        const late = yield* flood("127.0.0.3")
        yield* until(() => late.closed)
        yield* gate.open
        assert.isAtMost(seen.total, 12, "nothing more is served")
      }).pipe(Effect.scoped, Effect.provide(layer))
    }
  )

  it.live("carries the bodies of pipelined requests", () =>
    Effect.gen(function* () {
      const { port } = yield* HttpService
      const { received, socket } = yield* open(port)
      const body = JSON.stringify({ refreshToken: "x".repeat(200) })
      const post = `POST /v1/auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
      socket.write(`${get("/health")}${post}${body}${post}${body.slice(0, 10)}`)
      yield* until(() => statuses(received()).length === 2)
      socket.write(`${body.slice(10)}${get("/health")}`)
      yield* until(() => statuses(received()).length === 4)
      assert.deepStrictEqual(statuses(received()), [200, 401, 401, 200])
    }).pipe(Effect.scoped, Effect.provide(fakeService()))
  )

  it.live("is closed after the allowed number of requests, and its last answer says so", () =>
    Effect.gen(function* () {
      const { port } = yield* HttpService
      const { closed, received, socket } = yield* open(port)
      for (let n = 1; n <= 3; n++) {
        socket.write(get("/health"))
        yield* until(() => statuses(received()).length === n)
      }
      yield* closed
      assert.deepStrictEqual(statuses(received()), [200, 200, 200])
      assert.strictEqual(received().match(/^connection: close\r$/gim)?.length, 1)
    }).pipe(Effect.scoped, Effect.provide(fakeService({ server: { port: 0, maxRequestsPerSocket: 3 } })))
  )

  it.live("beyond the limit of the node is closed at once", () =>
    Effect.gen(function* () {
      const { port } = yield* HttpService
      const first = yield* open(port)
      const second = yield* open(port)
      const third = yield* open(port)
      yield* third.closed
      for (const { received, socket } of [first, second]) {
        socket.write(get("/health"))
        yield* until(() => statuses(received()).length === 1)
      }
    }).pipe(Effect.scoped, Effect.provide(fakeService({ server: { port: 0, maxConnections: 2 } })))
  )

  it.live("whose peer does not read an answer is closed", () => {
    const huge = HttpRouter.add("GET", "/huge", HttpServerResponse.text("x".repeat(20_000_000)))
    const layer = httpService(huge).pipe(Layer.provide(fakeServices({ timers: { writeStuck: 200 } })))
    return Effect.gen(function* () {
      const { port } = yield* HttpService
      const { closed, socket } = yield* open(port)
      socket.pause()
      socket.write(get("/huge"))
      // A peer that does not read does not see the end either, but it can no longer write.
      const probe = Effect.sync(() => socket.write("x"))
      yield* Effect.raceFirst(closed, Effect.forever(Effect.andThen(probe, Effect.sleep("20 millis"))))
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("that sends its headers or its body too slowly is answered with 408 and closed", () =>
    Effect.gen(function* () {
      const { raw } = yield* HttpService
      for (const part of [
        "GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        "POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
      ])
        assert.deepStrictEqual(statuses(yield* raw(part)), [408])
    }).pipe(Effect.provide(fakeService({ timers: { requestHeaders: 200, request: 400 } })))
  )
})

layer(fakeService(), { excludeTestServices: true })((it) => {
  describe("an upgrade", () => {
    const handshake = [
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    ]

    it.effect("to an unknown protocol is refused at once, even before the body arrives", () =>
      Effect.gen(function* () {
        const { raw } = yield* HttpService
        for (const request of [
          get("/health", "Connection: Upgrade", "Upgrade: foo"),
          get("/v1/ws", "Connection: Upgrade", "Upgrade: foo"),
          "POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: foo\r\nContent-Length: 100\r\n\r\n"
        ]) {
          const answer = yield* raw(request)
          assert.deepStrictEqual(statuses(answer), [426])
          assert.match(answer, /^upgrade: websocket\r$/im)
          assert.include(problemOf(answer), { type: "/problems/upgrade-required", status: 426 })
        }
      })
    )

    it.effect("with another method or a body is refused at once", () =>
      Effect.gen(function* () {
        const { raw } = yield* HttpService
        for (const request of [
          get("/rpc/ws", ...handshake, "Content-Length: 100"),
          get("/v1/ws", ...handshake, "Transfer-Encoding: chunked"),
          `POST /v1/auth/login HTTP/1.1\r\nHost: x\r\n${handshake.join("\r\n")}\r\nContent-Length: 100\r\n\r\n`
        ])
          assert.deepStrictEqual(statuses(yield* raw(request)), [400], request)
      })
    )

    it.effect("that offers HTTP/2 is an ordinary request", () =>
      Effect.gen(function* () {
        const { port } = yield* HttpService
        const { received, socket } = yield* open(port)
        const h2 = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]
        for (let n = 1; n <= 2; n++) {
          socket.write(get("/health", ...h2))
          yield* until(() => statuses(received()).length === n)
        }
        assert.deepStrictEqual(statuses(received()), [200, 200])
      }).pipe(Effect.scoped)
    )

    it.effect("before an earlier answer was sent ends the connection", () =>
      Effect.gen(function* () {
        const { raw } = yield* HttpService
        const body = '{"login":"a","password":"b"}'
        const answer = yield* raw(
          `POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
          get("/rpc/ws", ...handshake)
        )
        assert.notInclude(statuses(answer), 101)
      })
    )
  })

  describe("a request", () => {
    it.effect("that is refused before its large body is read ends its connection, and no more of that is read", () =>
      Effect.gen(function* () {
        const { port } = yield* HttpService
        const seen: Array<IncomingMessage> = []
        const note = (message: unknown) => {
          if (typeof message !== "object" || message === null || !("request" in message)) return
          if (message.request instanceof IncomingMessage) seen.push(message.request)
        }
        const requests = channel("http.server.request.start")
        requests.subscribe(note)
        yield* Effect.addFinalizer(() => Effect.sync(() => requests.unsubscribe(note)))
        for (const length of [200_000, 1_000_000]) {
          const { closed, received, socket } = yield* open(port)
          const head = ["host: x", "authorization: Bearer bad", "content-type: application/json"]
          socket.write(`POST /v1/sync HTTP/1.1\r\n${head.join("\r\n")}\r\ncontent-length: ${length}\r\n\r\n`)
          socket.write(Buffer.alloc(length))
          yield* closed
          assert.deepStrictEqual(statuses(received()), [401])
          assert.match(received(), /\r\nconnection: close\r\n/i)
          assert.isAtMost(seen.at(-1)?.socket.bytesRead ?? Number.NaN, oneRead)
        }
      })
    )

    it.effect("that names two hosts is a 400", () =>
      Effect.gen(function* () {
        const { raw } = yield* HttpService
        const answer = yield* raw(get("/health", "host: y", "Connection: close"))
        assert.deepStrictEqual(statuses(answer), [400])
        assert.deepInclude(problemOf(answer), { errors: [{ path: "host", message: "must be there once" }] })
      })
    )

    it.effect("with a semicolon in its path is a 404", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        for (const path of ["/metrics;", "/metrics;x=1", "/health;/", "/v1/users/me;a?b=c"])
          assert.strictEqual((yield* ask(path, { described: false })).status, 404, path)
        assert.strictEqual((yield* ask("/health?a;b", { described: false })).status, 200)
      })
    )

    it.effect("whose path cannot be decoded is a 400 with errors, whatever route it may be for", () =>
      Effect.gen(function* () {
        const { raw } = yield* HttpService
        for (const path of ["/v1/conversations/%zz", "/v1/conversations/%ff/messages", "/%"]) {
          const answer = yield* raw(get(path, "Connection: close"))
          assert.deepStrictEqual(statuses(answer), [400])
          assert.deepInclude(problemOf(answer), {
            errors: [{ path: "path", message: "is not valid percent-encoding" }]
          })
        }
        const bad = yield* raw("hello\r\n\r\n")
        assert.deepInclude(problemOf(bad), { errors: [{ path: "", message: "the request is not valid HTTP" }] })
      })
    )
  })
})

describe("an address", () => {
  it.live("that asks too often is refused before its token is looked at; signed-in users and probes are not", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const anonymous = (path: string) =>
        Effect.map(ask(path, { token: "forged", described: false }), ({ status }) => status)
      const seen = yield* Effect.forEach(Array.from({ length: 8 }), () => anonymous("/"))
      assert.deepStrictEqual(seen, [302, 302, 302, 302, 302, 429, 429, 429])
      const refused = yield* ask("/v1/auth/refresh", { json: { refreshToken: "x" } })
      assert.strictEqual(refused.problem.type, "/problems/rate-limited")
      assert.isAtLeast(Number(refused.headers.get("retry-after")), 1)
      assert.strictEqual(refused.headers.get("ratelimit-policy"), '"address";q=5;w=500')
      assert.strictEqual(refused.headers.get("ratelimit"), `"address";r=0;t=${refused.headers.get("retry-after")}`)
      assert.strictEqual(yield* anonymous("/v1/users/me"), 401)
      for (const path of ["/health", "/ready"]) assert.strictEqual((yield* ask(path)).status, 200)
    }).pipe(Effect.provide(fakeService({ limits: { addressRequestsPerSecond: 0.01, addressRequestsBurst: 5 } })))
  )

  it.live("that goes on after refusals loses what it has sent ahead of the next one", () =>
    Effect.gen(function* () {
      const { log, port } = yield* HttpService
      const sent = 20
      const flood = Effect.scoped(
        Effect.gen(function* () {
          const { closed, received, socket } = yield* open(port)
          socket.write(get("/docs").repeat(sent - 1) + get("/docs", "connection: close"))
          yield* closed
          return received()
        })
      )
      const cutShort = (answers: string) => statuses(answers).length < sent
      // The first refusals are prompt, as many as a node has in its burst.
      const answers = yield* Effect.all(
        Array.from({ length: 5 }, () => flood),
        { concurrency: 5 }
      ).pipe(Effect.repeat({ until: (all) => all.some(cutShort) }))
      const [cut = ""] = answers.filter(cutShort)
      assert.match(cut.slice(cut.lastIndexOf("HTTP/1.1 429")), /\r\nconnection: close\r\n/i)
      const said = log.filter(({ message }) => String(message).startsWith("answers to an address are held back"))
      assert.lengthOf(said, 1)
    }).pipe(Effect.provide(fakeService({ limits: { addressRequestsPerSecond: 0.01, addressRequestsBurst: 1 } })))
  )

  it.live("has a hundred held answers to large bodies at most, and its further connections end without one", () =>
    Effect.gen(function* () {
      const { ask, port } = yield* HttpService
      yield* ask("/docs", { described: false })
      const headers = ["Content-Type: application/json", "Transfer-Encoding: chunked"]
      const body = `4e20\r\n${" ".repeat(20_000)}\r\n`
      const connections = yield* Effect.forEach(Arr.range(1, 500), () => open(port), { concurrency: 50 })
      for (const { socket } of connections)
        socket.write(get("/v1/auth/login", ...headers).replace("GET", "POST") + body)
      const waiting = () => connections.filter(({ received, socket }) => received() === "" && !socket.closed)
      yield* until(() => waiting().length <= 100)
      const unanswered = connections.filter(({ received, socket }) => received() === "" && socket.closed)
      assert.isAbove(unanswered.length, 0)
    }).pipe(Effect.provide(fakeService({ limits: { addressRequestsPerSecond: 0.01, addressRequestsBurst: 1 } })))
  )

  it.live("that gets large documents or sends large bodies is refused before more of them, signed in or not", () =>
    Effect.gen(function* () {
      const { ask, raw } = yield* HttpService
      const { token } = yield* newcomer()
      assert.strictEqual((yield* ask("/docs", { described: false })).status, 200)
      assert.strictEqual((yield* ask("/docs", { described: false })).status, 429)
      const large = { cursors: Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`${"c".repeat(30)}${n}`, n])) }
      const refused = yield* ask("/v1/sync", { token, json: large })
      assert.strictEqual(refused.problem.type, "/problems/rate-limited")
      assert.isAbove(Number(refused.headers.get("retry-after")), 1)
      assert.strictEqual((yield* ask("/v1/sync", { token, json: { cursors: {} } })).status, 200, "small ones are free")
      // The answer comes although the body never does.
      const headers = `host: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: 100000`
      assert.match(yield* raw(`POST /v1/sync HTTP/1.1\r\n${headers}\r\nconnection: close\r\n\r\n`), /^HTTP\/1.1 429 /)
      const chunked = "host: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close"
      const chunk = `4e20\r\n${" ".repeat(20_000)}\r\n0\r\n\r\n`
      assert.match(yield* raw(`POST /rpc HTTP/1.1\r\n${chunked}\r\n\r\n${chunk}`), /^HTTP\/1.1 429 /)
    }).pipe(Effect.provide(fakeService({ limits: { addressRequestsPerSecond: 0.01, addressRequestsBurst: 50 } })))
  )
})
