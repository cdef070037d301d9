import { assert, layer } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { connect } from "../support/Client.ts"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"

const path = "/rpc/ws"

const request = (tag: string, payload: unknown, token?: string, id = "1") => ({
  _tag: "Request",
  id,
  tag,
  payload,
  headers: token === undefined ? [] : [["authorization", `Bearer ${token}`]]
})
const me = (token: string, id = "1") => request("user.me", null, token, id)

const isExit = (id: string) => (frame: { readonly json: unknown }) =>
  Object(frame.json)._tag === "Exit" && Object(frame.json).requestId === id
const isOk = ({ json }: { readonly json: unknown }) => Object(json).exit?._tag === "Success"
const problemOf = ({ json }: { readonly json: unknown }) => Object(json).exit?.cause?.[0]?.error

const open = HttpService.use(({ url }) => connect(url, { path }))

layer(fakeService({ limits: { commandsPerSecond: 0.001, commandsBurst: 20, jsonDepth: 8, jsonKeys: 100 } }), {
  excludeTestServices: true
})("a frame of a socket for calls", (it) => {
  it.effect("that is not of the protocol closes the socket", () =>
    Effect.gen(function* () {
      const { log } = yield* HttpService
      const { token } = yield* newcomer()
      const many = Object.fromEntries(Array.from({ length: 101 }, (_, i) => [i, i]))
      const frames: ReadonlyArray<readonly [unknown, string]> = [
        [{ x: 1 }, "not a message"],
        ["x", "not a message"],
        [[], "not a message"],
        [{ ...me(token), headers: [1] }, "not a message"],
        [Array.from({ length: 17 }, (_, i) => me(token, `${i}`)), "more than 16 messages in a frame"],
        [request("user.me", [[[[[[[[1]]]]]]]]), "nested too deep"],
        [request("user.me", many), "too many fields"],
        [{ ...me(token), headers: Array.from({ length: 65 }, () => ["a", "b"]) }, "more than 64 headers"]
      ]
      for (const [frame, reason] of frames) {
        const socket = yield* open
        socket.send(frame)
        assert.deepStrictEqual(yield* socket.closed, { code: 4500, reason })
        assert.isEmpty(socket.frames, "nothing of it is answered")
      }
      const text = yield* open
      text.raw("nonsense")
      assert.strictEqual((yield* text.closed).code, 4500)
      assert.isEmpty(log.filter(({ level }) => level === "ERROR"))
    })
  )

  it.effect("is told the first of very many errors, before anybody looks at its token", () =>
    Effect.gen(function* () {
      const socket = yield* open
      const userIds = Array.from({ length: 1000 }, () => 1)
      socket.send(request("member.add", { conversationId: "x", userIds }))
      const answer = yield* socket.next(isExit("1"))
      assert.strictEqual(problemOf(answer).errors.length, 1)
    })
  )

  it.effect("may have 16 calls, each of which is answered", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      const socket = yield* open
      const ids = Array.from({ length: 16 }, (_, i) => `${i}`)
      socket.send(ids.map((id) => me(token, id)))
      for (const id of ids) assert.isTrue(isOk(yield* socket.next(isExit(id))))
    })
  )
})

layer(fakeService({ limits: { commandsPerSecond: 0.001, commandsBurst: 20 } }), { excludeTestServices: true })(
  "messages of a socket for calls",
  (it) => {
    it.effect("beyond the limit are refused, and close the socket of a client that does not slow down", () =>
      Effect.gen(function* () {
        const { token } = yield* newcomer()
        const socket = yield* open
        for (let i = 0; i < 25; i++) socket.send(me(token, `${i}`))
        for (let i = 0; i < 20; i++) assert.isTrue(isOk(yield* socket.next(isExit(`${i}`))))
        const refused = yield* socket.next(isExit("20"))
        assert.include(problemOf(refused), { type: "/problems/rate-limited", status: 429 })
        assert.isAbove(problemOf(refused).retryAfterMs, 0)
        for (let i = 25; i < 100; i++) socket.send(me(token, `${i}`))
        assert.deepStrictEqual(yield* socket.closed, { code: 4006, reason: "rate limited" })
        assert.isUndefined(socket.frames.find(isExit("50")), "nothing is answered after the end")
      })
    )

    it.effect("that are large count for their bytes until a call was let in, and one too many is not read", () =>
      Effect.gen(function* () {
        const { token } = yield* newcomer()
        const large = (as: string, id: string) => request("user.me", { x: "x".repeat(15_000) }, as, id)
        const stranger = yield* open
        for (let i = 0; i < 6; i++) stranger.send(large("bad", `${i}`))
        assert.deepStrictEqual(yield* stranger.closed, { code: 4006, reason: "rate limited" })
        assert.deepStrictEqual(
          stranger.frames.filter((frame) => ["0", "1", "2", "3", "4", "5"].some((id) => isExit(id)(frame))).length,
          5
        )
        const known = yield* open
        for (let i = 0; i < 20; i++) {
          known.send(i === 0 ? me(token, "0") : large(token, `${i}`))
          yield* known.next(isExit(`${i}`))
        }
      })
    )

    it.effect("of every kind count, and so do pings of the protocol", () =>
      Effect.gen(function* () {
        for (const message of [
          { _tag: "Ping" },
          { _tag: "Ack", requestId: "1" },
          { _tag: "Interrupt", requestId: "1" }
        ]) {
          const socket = yield* open
          for (let i = 0; i < 100; i++) socket.send(message)
          assert.strictEqual((yield* socket.closed).code, 4006, message._tag)
        }
        const socket = yield* open
        const ping = Uint8Array.of(0x89, 0x80, 0, 0, 0, 0)
        for (let i = 0; i < 100; i++) socket.raw(ping)
        assert.strictEqual((yield* socket.closed).code, 4006)
      })
    )

    it.effect("that acknowledge parts of a stream do not count", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const { token } = yield* newcomer()
        const json = { kind: "group", title: "Much", memberIds: [] }
        const { id } = (yield* ask("/v1/conversations", { token, json })).json
        const socket = yield* open
        socket.send(request("events.stream", {}, token, "s"))
        const isChunk = ({ json }: { readonly json: unknown }) => Object(json)._tag === "Chunk"
        let parts = 0
        for (let i = 0; i < 40; i++) {
          const body = { clientMessageId: `${i}`, body: `${i}` }
          yield* ask(`/v1/conversations/${id}/messages`, { token, json: body })
          for (let found = false; !found; parts++) {
            const { json } = yield* socket.next(isChunk)
            socket.send({ _tag: "Ack", requestId: "s" })
            found = JSON.stringify(json).includes(`"clientMessageId":"${i}"`)
          }
        }
        assert.isAtLeast(parts, 40)
        socket.send(me(token, "after"))
        assert.isTrue(isOk(yield* socket.next(isExit("after"))))
      })
    )
  }
)

layer(fakeService({ timers: { hello: 300, heartbeat: 150, heartbeatAnswer: 150 } }), { excludeTestServices: true })(
  "the time of a socket for calls",
  (it) => {
    it.effect("ends without a call that succeeds, as without a hello", () =>
      Effect.gen(function* () {
        const { token } = yield* newcomer()
        const silent = yield* open
        const wrong = yield* open
        wrong.send(me("nonsense"))
        wrong.send(request("auth.refresh", { refreshToken: "nonsense" }, undefined, "2"))
        const right = yield* open
        right.send(me(token))
        assert.deepStrictEqual(yield* silent.closed, { code: 4001, reason: "no call" })
        assert.strictEqual((yield* wrong.closed).code, 4001)
        right.send(me(token, "2"))
        assert.isTrue(isOk(yield* right.next(isExit("2"))))
      })
    )

    it.effect("ends when the peer answers no ping", () =>
      Effect.gen(function* () {
        const { url } = yield* HttpService
        const { token } = yield* newcomer()
        const gone = yield* connect(url, { path, autoPong: false })
        const there = yield* open
        gone.send(me(token))
        there.send(me(token))
        assert.deepStrictEqual(yield* gone.closed, { code: 4002, reason: "no answer to ping" })
        assert.isFalse(there.isClosed)
      })
    )
  }
)

layer(fakeService({ timers: { writeStuck: 200 }, limits: { socketsPerUser: 2 } }), { excludeTestServices: true })(
  "a socket for calls",
  (it) => {
    it.effect("whose peer does not read is closed", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const { token } = yield* newcomer()
        const json = { kind: "group", title: "Much", memberIds: [] }
        const conversationId = (yield* ask("/v1/conversations", { token, json })).json.id
        for (let i = 0; i < 50; i++) {
          const body = { clientMessageId: `${i}`, body: "漢".repeat(8000) }
          yield* ask(`/v1/conversations/${conversationId}/messages`, { token, json: body })
        }
        const socket = yield* open
        socket.pause()
        for (let i = 0; i < 40; i++) socket.send(request("message.list", { conversationId, limit: 50 }, token, `${i}`))
        const { log } = yield* HttpService
        const line = () => log.find(({ message }) => message === "rpc socket closed")
        yield* Effect.repeat(Effect.sleep(20), { until: () => line() !== undefined })
        assert.strictEqual(line()?.code, 4003)
      })
    )

    it.effect("beyond those that a user may have is closed", () =>
      Effect.gen(function* () {
        const { token } = yield* newcomer()
        for (let i = 0; i < 2; i++) {
          const socket = yield* open
          socket.send(me(token))
          yield* socket.next(isExit("1"))
        }
        const third = yield* open
        third.send(me(token))
        assert.deepStrictEqual(yield* third.closed, { code: 4505, reason: "too many connections" })
      })
    )
  }
)

layer(fakeService({ limits: { addressRequestsPerSecond: 1, addressRequestsBurst: 250 } }), {
  excludeTestServices: true
})("an address whose sockets are closed for what they send", (it) => {
  it.effect("can open no more of them for a while", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 3; i++) {
        const socket = yield* open
        socket.send({ x: 1 })
        assert.strictEqual((yield* socket.closed).code, 4500)
        socket.terminate()
      }
      const { log, url } = yield* HttpService
      yield* Effect.repeat(Effect.void, {
        until: () => log.filter(({ message }) => message === "rpc socket closed").length === 3,
        schedule: Schedule.spaced(10)
      })
      for (const each of [path, "/v1/ws"]) {
        const refused = yield* Effect.flip(connect(url, { path: each }))
        assert.strictEqual(refused.status, 429)
        assert.isAbove(Number(refused.headers["retry-after"]), 0)
      }
    })
  )
})

layer(fakeService({ limits: { addressRequestsPerSecond: 0.01, addressRequestsBurst: 100 } }), {
  excludeTestServices: true
})("an address that sends large frames over sockets for calls", (it) => {
  it.effect("pays for them, and the one that it cannot pay for is not read", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      const large = (id: string) => request("user.me", { x: "x".repeat(120_000) }, token, id)
      const socket = yield* open
      socket.send(large("1"))
      yield* socket.next(isExit("1"))
      socket.send(me(token, "2"))
      assert.isTrue(isOk(yield* socket.next(isExit("2"))), "a small one costs its address nothing")
      socket.send(large("3"))
      assert.deepStrictEqual(yield* socket.closed, { code: 4006, reason: "rate limited" })
    })
  )
})
