import { connect, createServer, type Server, type Socket } from "node:net"
import { assert, describe, it, layer } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Fiber, Latch, Layer, Schema, Scope } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { layerServer } from "../../src/http/Server.ts"
import { Settings } from "../../src/services/Settings.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import { fakeService, HttpService, httpService } from "../support/HttpService.ts"

const operations = [
  "auth.login",
  "auth.logout",
  "auth.password",
  "auth.refresh",
  "auth.register",
  "block.add",
  "block.list",
  "block.remove",
  "conversation.create",
  "conversation.get",
  "conversation.list",
  "conversation.settings",
  "conversation.update",
  "draft.clear",
  "draft.list",
  "draft.set",
  "events.pull",
  "events.stream",
  "events.sync",
  "health",
  "invite.accept",
  "invite.create",
  "invite.list",
  "invite.revoke",
  "member.add",
  "member.leave",
  "member.list",
  "member.remove",
  "member.update",
  "message.delete",
  "message.edit",
  "message.forward",
  "message.get",
  "message.list",
  "message.pin",
  "message.revisions",
  "message.search",
  "message.send",
  "message.unpin",
  "message.unvote",
  "message.vote",
  "pin.list",
  "presence.get",
  "presence.set",
  "reaction.add",
  "reaction.remove",
  "read.mark",
  "ready",
  "session.end",
  "session.list",
  "thread.list",
  "thread.mark",
  "typing.start",
  "user.get",
  "user.me",
  "user.search",
  "user.unread",
  "user.update"
]

const Operation = Schema.Struct({
  operationId: Schema.String,
  summary: Schema.String,
  description: Schema.String,
  responses: Schema.Record(Schema.String, Schema.Unknown),
  security: Schema.Array(Schema.Record(Schema.String, Schema.Unknown))
})
const Document = Schema.Struct({
  openapi: Schema.String,
  info: Schema.Struct({ title: Schema.String, version: Schema.String }),
  paths: Schema.Record(Schema.String, Schema.Record(Schema.String, Operation)),
  components: Schema.Struct({
    schemas: Schema.Record(Schema.String, Schema.Unknown),
    securitySchemes: Schema.Record(Schema.String, Schema.Unknown)
  })
})

layer(fakeService(), { excludeTestServices: true })("documents", (it) => {
  it.effect("the OpenAPI document names every operation, and what each may answer", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { headers, text } = yield* ask("/openapi.json")
      assert.strictEqual(headers.get("content-type"), "application/json")
      const document = yield* Schema.decodeEffect(Schema.fromJsonString(Document))(text)
      assert.match(document.openapi, /^3\.1\./)
      const found = Object.values(document.paths).flatMap((path) => Object.values(path))
      assert.deepStrictEqual(found.map(({ operationId }) => operationId).sort(), operations)
      for (const { description, operationId, responses, security } of found) {
        assert.notStrictEqual(description, "", operationId)
        const statuses = Object.keys(responses)
        const open = /^(health|ready|auth\.(register|login|refresh))$/.test(operationId)
        assert.deepStrictEqual(security, open ? [] : [{ bearer: [] }, { cookie: [] }], operationId)
        if (!open) assert.includeMembers(statuses, ["401", "429", "503"], operationId)
        if (!/^(health|ready)$/.test(operationId)) assert.includeMembers(statuses, ["400", "500"], operationId)
      }
      const statusesOf = (path: string, method: string) => Object.keys(document.paths[path]?.[method]?.responses ?? {})
      assert.includeMembers(statusesOf("/v1/conversations", "post"), ["200", "201", "404", "409", "413", "415"])
      assert.includeMembers(statusesOf("/v1/conversations/{id}/messages", "post"), ["200", "201", "409"])
      assert.includeMembers(statusesOf("/v1/conversations/{id}/read", "put"), ["204"])
      assert.includeMembers(Object.keys(document.components.schemas), ["User", "Conversation", "Message", "NotFound"])
      // What the document refers to is there, and nothing forbids fields of later versions.
      for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
        assert.property(document.components.schemas, name ?? "")
      }
      assert.notInclude(text, 'additionalProperties":false')
      assert.include(text, '"name":"limit","in":"query","schema":{"type":"integer","minimum":1')
    })
  )

  it.effect("the page to read them works by itself", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { headers, status, text } = yield* ask("/docs")
      assert.strictEqual(status, 200)
      assert.match(headers.get("content-type") ?? "", /^text\/html/)
      assert.include(headers.get("content-security-policy") ?? "", "connect-src 'self'")
      assert.notMatch(text, /<(script|link|img)[^>]+(src|href)="?https?:/)
    })
  )
})

const upgrade = (path: string) =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`

/** A connection that says nothing. */
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
    it.effect("answers an upgrade where there is no socket, and closes the connection", () =>
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

  it.live("that finds its port taken says so in one line that names the key", () =>
    Effect.gen(function* () {
      const port = yield* takenPort
      const error = yield* Layer.build(layerServer).pipe(
        Effect.provide(Settings.layerTest({ server: { port } })),
        Effect.flip
      )
      assert.strictEqual(error._tag, "SettingsError")
      assert.match(error.message, new RegExp(`^server\\.port: port ${port} is in use[^\\n]+$`))
    }).pipe(Effect.scoped)
  )

  it.live("stops within its grace, whoever holds on to a connection, and lets requests in flight end", () =>
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
      const slow = yield* Effect.forkScoped(ask("/slow"))
      yield* Effect.andThen(asked.await, hanging.await)

      const before = yield* Clock.currentTimeMillis
      const closing = yield* Effect.forkScoped(Scope.close(scope, Exit.void))
      yield* answer.open
      assert.strictEqual((yield* Fiber.join(slow)).text, "done")
      yield* Fiber.join(closing)
      assert.isBelow((yield* Clock.currentTimeMillis) - before, 2500)
      // Nobody is left holding on.
      assert.match(yield* Fiber.join(endless), /^HTTP\/1\.1 503 /)
      yield* Fiber.join(half)
      yield* closed(silent)
    }).pipe(Effect.scoped)
  )
})
