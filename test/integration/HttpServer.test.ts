import { connect, createServer, type Server, type Socket } from "node:net"
import { assert, describe, it, layer } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Fiber, Latch, Layer, Scope } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { layerPortCheck, layerServer } from "../../src/http/server/Server.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { fakeService, HttpService, httpService } from "../support/HttpService.ts"
import { freePort } from "../support/NatsServer.ts"
import { promptly } from "../support/TimeLimits.ts"

const upgrade = (path: string) =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`

/** A connection that sends nothing. */
const connected = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const socket = connect(port, "127.0.0.1", () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

const closed = (socket: Socket) =>
  Effect.callback<void>((resume) => {
    if (socket.closed) resume(Effect.void)
    else socket.once("close", () => resume(Effect.void))
  })

/** A port that something else listens on. */
const takenPort = Effect.map(
  Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const server = createServer().listen(0, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ),
  (server) => {
    const address = server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  }
)

describe("the server", () => {
  layer(fakeService(), { excludeTestServices: true })((it) => {
    it.effect("answers an upgrade on a path without a socket, and closes the connection", () =>
      Effect.gen(function* () {
        const { log, raw } = yield* HttpService
        for (const [path, status] of [
          ["/nowhere", 404],
          ["/v1/users/me", 401],
          ["/health", 200]
        ] as const) {
          const answer = yield* raw(upgrade(path))
          assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `))
        }
        assert.isTrue(log.some(({ route, status }) => route === "none" && status === 404))
      })
    )
  })

  it.live("whose port is taken says so in one line with the key of the setting", () =>
    Effect.gen(function* () {
      const port = yield* takenPort
      const error = yield* Layer.build(layerServer).pipe(
        Effect.provide(SettingsMemory.layerMemory({ server: { port } })),
        Effect.flip
      )
      assert.strictEqual(error._tag, "SettingsError")
      assert.match(error.message, new RegExp(`^server\\.port: port ${port} is in use[^\\n]+$`))
    }).pipe(Effect.scoped)
  )

  it.live("notices before it is built that its port is taken or its address is not one of this machine", () =>
    Effect.gen(function* () {
      const check = (server: { readonly host?: string; readonly port: number }) =>
        Layer.build(Layer.fresh(layerPortCheck).pipe(Layer.provide(SettingsMemory.layerMemory({ server }))))
      const taken = yield* Effect.flip(check({ port: yield* takenPort }))
      assert.match(taken.message, /^server\.port: port \d+ is in use/)
      const elsewhere = yield* Effect.flip(check({ host: "203.0.113.1", port: yield* freePort }))
      assert.match(elsewhere.message, /^server\.host: this machine has no address 203\.0\.113\.1/)
      yield* check({ host: "127.0.0.1", port: yield* freePort })
      yield* check({ port: 0 })
    }).pipe(Effect.scoped)
  )

  it.live("stops within its grace period despite open connections, and finishes requests in flight", () =>
    Effect.gen(function* () {
      const asked = yield* Latch.make()
      const answer = yield* Latch.make()
      const hanging = yield* Latch.make()
      const routes = Layer.mergeAll(
        HttpRouter.add(
          "GET",
          "/slow",
          Effect.andThen(asked.open, Effect.as(answer.await, HttpServerResponse.text("done")))
        ),
        HttpRouter.add("GET", "/endless", Effect.andThen(hanging.open, Effect.never))
      )
      const scope = yield* Scope.make()
      const App = httpService(routes).pipe(Layer.provide(fakeServices({ timers: { drain: 1000 } })))
      const { ask, port, raw } = yield* Layer.buildWithScope(App, scope).pipe(
        Effect.map((context) => Context.get(context, HttpService))
      )
      const silent = yield* connected(port)
      const half = yield* Effect.forkScoped(raw("POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Le"))
      const endless = yield* Effect.forkScoped(raw("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"))
      const slow = yield* Effect.forkScoped(ask("/slow", { described: false }))
      yield* Effect.andThen(asked.await, hanging.await)

      const before = yield* Clock.currentTimeMillis
      const closing = yield* Effect.forkScoped(Scope.close(scope, Exit.void))
      yield* answer.open
      assert.strictEqual((yield* Fiber.join(slow)).text, "done")
      yield* Fiber.join(closing)
      assert.isBelow((yield* Clock.currentTimeMillis) - before, promptly(2500))
      // No connection is left open.
      assert.match(yield* Fiber.join(endless), /^HTTP\/1\.1 503 /)
      yield* Fiber.join(half)
      yield* closed(silent)
    }).pipe(Effect.scoped)
  )
})
