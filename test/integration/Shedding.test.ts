import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { makeLogger } from "../../src/layers/telemetry/Logging.ts"
import * as Shedding from "../../src/services/platform/load/Shedding.ts"
import { api, connect } from "../support/Client.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"
import { counting, sample } from "../support/Samples.ts"

let level = 0
const service = gatewayService().pipe(Layer.provide(Shedding.layerAt(() => level)), Layer.provideMerge(counting))

/** Does something at a level of load, and goes back to none. */
const at = <A, E, R>(load: number, work: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      level = load
    }),
    () => work,
    () =>
      Effect.sync(() => {
        level = 0
      })
  )

const levels = [0, 1, 2, 3, 4]
const statuses = (serves: (load: number) => boolean, ok: number) => levels.map((load) => (serves(load) ? ok : 503))

layer(service, { excludeTestServices: true })("a busy node", (it) => {
  const start = Effect.gen(function* () {
    const { url } = yield* Service
    const http = api(url)
    const [ann, bob] = [yield* http.register(), yield* http.register()]
    const id = yield* http.dm(ann, bob)
    yield* http.post(ann, id, "first", "hello")
    const ask = (path: string, json?: unknown, token?: string) =>
      Effect.promise(() =>
        fetch(url + path, {
          method: json === undefined ? "GET" : "POST",
          headers: {
            ...(json !== undefined && { "content-type": "application/json" }),
            ...(token !== undefined && { authorization: `Bearer ${token}` })
          },
          ...(json !== undefined && { body: JSON.stringify(json) })
        })
      )
    return { ann, bob, id, url, ask }
  })

  it.effect("refuses more from level to level over HTTP: logins, reads, sends", () =>
    Effect.gen(function* () {
      const { ann, ask, id } = yield* start
      let sent = 0
      const seen = yield* Effect.forEach(levels, (load) =>
        at(
          load,
          Effect.gen(function* () {
            const answers = [
              yield* ask("/v1/auth/login", { login: ann.username, password: ann.password }),
              yield* ask(`/v1/conversations/${id}/messages`, undefined, ann.token),
              yield* ask(
                `/v1/conversations/${id}/messages`,
                { clientMessageId: `n${++sent}`, body: "more" },
                ann.token
              ),
              yield* ask("/v1/users/me", undefined, ann.token),
              yield* ask("/ready")
            ]
            for (const { headers, status } of answers.slice(0, 3))
              assert.strictEqual(headers.get("retry-after"), status === 503 ? "1" : null)
            return answers.map(({ status }) => status)
          })
        )
      )
      const [logins, reads, sends, others, ready] = [0, 1, 2, 3, 4].map((column) => seen.map((row) => row[column]))
      assert.deepStrictEqual(
        logins,
        statuses((load) => load < 2, 200)
      )
      assert.deepStrictEqual(
        reads,
        statuses((load) => load < 3, 200)
      )
      assert.deepStrictEqual(
        sends,
        statuses((load) => load < 4, 201)
      )
      assert.deepStrictEqual(others, [200, 200, 200, 200, 200])
      assert.deepStrictEqual(
        ready,
        statuses((load) => load < 4, 200)
      )
    })
  )

  it.effect("refuses new sockets and streams, and serves the sends of those that are open", () =>
    Effect.gen(function* () {
      const { ann, ask, id, url } = yield* start
      const open = yield* connect(url)
      yield* open.ready(ann.token)
      yield* at(
        3,
        Effect.gen(function* () {
          for (const path of ["/v1/ws", "/rpc/ws"]) {
            const refused = yield* Effect.flip(connect(url, { path }))
            assert.deepStrictEqual([refused.status, refused.headers["retry-after"]], [503, "1"])
          }
          assert.strictEqual((yield* ask("/v1/events", undefined, ann.token)).status, 503)
          yield* open.ok("message.send", { conversationId: id, clientMessageId: "busy", body: "still" })
          assert.strictEqual((yield* open.error("message.list", { conversationId: id })).status, 503)
        })
      )
      assert.strictEqual(
        (yield* at(4, open.error("message.send", { conversationId: id, clientMessageId: "x", body: "x" }))).status,
        503
      )
      yield* open.ok("message.send", { conversationId: id, clientMessageId: "x", body: "x" })
      assert.isAbove(yield* sample(`chat_load_shed_total{work="connections"}`), 0)
    })
  )

  it.effect("refuses calls over RPC as well", () =>
    Effect.gen(function* () {
      const { ann, id, url } = yield* start
      const rpc = yield* connect(url, { path: "/rpc/ws", headers: { authorization: `Bearer ${ann.token}` } })
      const outcome = Effect.fnUntraced(function* (load: number, n: number) {
        rpc.send(
          ["message.list", "message.send"].map((tag) => ({
            _tag: "Request",
            id: `${n}${tag}`,
            tag,
            payload: { conversationId: id, ...(tag === "message.send" && { clientMessageId: `r${n}`, body: "x" }) },
            headers: []
          }))
        )
        const answers = ["message.list", "message.send"].map((tag) =>
          Effect.map(
            rpc.next(({ json }) => JSON.stringify(json).includes(`"requestId":"${n}${tag}"`)),
            ({ json }) => JSON.stringify(json).includes("/problems/unavailable")
          )
        )
        return yield* at(load, Effect.all(answers))
      })
      assert.deepStrictEqual(yield* outcome(2, 1), [false, false])
      assert.deepStrictEqual(yield* outcome(3, 2), [true, false])
      assert.deepStrictEqual(yield* outcome(4, 3), [true, true])
    })
  )

  it.effect("drops typing first, and sends changes of presence when it is no longer busy", () =>
    Effect.gen(function* () {
      const { ann, bob, id, url } = yield* start
      const [a, b] = [yield* connect(url), yield* connect(url)]
      yield* a.ready(ann.token)
      yield* a.ok("presence.subscribe", { userIds: [bob.id] })
      yield* at(
        1,
        Effect.gen(function* () {
          yield* b.ready(bob.token)
          yield* b.ok("typing.start", { conversationId: id })
          yield* b.ok("message.send", { conversationId: id, clientMessageId: "t1", body: "x" })
          yield* a.next(({ event }) => event === "message.created")
        })
      )
      assert.isFalse(a.frames.some(({ event }) => event === "typing.started"))
      yield* a.next(({ event }) => event === "presence.changed")
    })
  )
})

const log: Array<string> = []
const logged = Logger.layer([makeLogger("json", (line) => log.push(line))])

layer(Shedding.layer.pipe(Layer.provideMerge(counting), Layer.provide(logged)), {
  excludeTestServices: true
})("the load of a node", (it) => {
  it.effect("is measured when something comes in, and its level ends by itself", () =>
    Effect.gen(function* () {
      const shedding = yield* Shedding.Shedding
      let waiting = 2500
      shedding.watch(() => waiting)
      assert.isFalse(shedding.sheds("presence"))
      yield* Effect.repeat(
        Effect.andThen(
          Effect.sync(() => shedding.noteWork()),
          Effect.sleep(20)
        ),
        { until: () => shedding.sheds("presence") }
      )
      assert.strictEqual(yield* sample("chat_load_level"), 1)
      assert.isFalse(shedding.sheds("connections"))
      waiting = 0
      yield* Effect.repeat(Effect.sleep(20), { until: () => !shedding.sheds("presence") })
      assert.strictEqual(yield* sample("chat_load_level"), 0)
      assert.match(log[0] ?? "", /"level":"WARN","message":"load is shed".*"loadLevel":1/)
      assert.match(log[1] ?? "", /"level":"INFO","message":"load is no longer shed".*"loadLevel":0/)
    })
  )
})
