import { createConnection, createServer, type Socket } from "node:net"
import { assert, describe, layer } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Layer, Logger, Redacted, References, Schedule, type Scope } from "effect"
import { Redis } from "../../src/layers/Redis.ts"
import * as RedisLimits from "../../src/layers/RedisLimits.ts"
import { Limits } from "../../src/services/Limits.ts"
import { Settings, type SettingsOverrides } from "../../src/services/Settings.ts"
import { ownRedis, startRedis } from "../support/RedisServers.ts"

const connect = (settings: SettingsOverrides): Effect.Effect<Redis["Service"], unknown, Scope.Scope> =>
  Effect.map(
    Layer.build(Layer.fresh(Redis.layer).pipe(Layer.provide(Layer.fresh(Settings.layerTest(settings))))),
    (context) => Context.get(context, Redis)
  )

const limitsOn = (settings: SettingsOverrides) =>
  Effect.map(
    Layer.build(
      Layer.fresh(RedisLimits.layer).pipe(
        Layer.provide(Layer.fresh(Redis.layer).pipe(Layer.provide(Layer.fresh(Settings.layerTest(settings)))))
      )
    ),
    (context) => Context.get(context, Limits)
  )

const whyNot = (settings: SettingsOverrides) =>
  Effect.map(Effect.flip(Effect.scoped(connect(settings))), (error) => (error instanceof Error ? error.message : ""))

/** Carries connections on to `port`; those it swallows stay open, and nothing comes through them any more. */
const proxyTo = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<{
      readonly port: number
      readonly swallow: (later?: boolean) => void
      readonly close: () => void
    }>((resume) => {
      const sockets = new Set<Socket>()
      let swallows = false
      const server = createServer((near) => {
        const far = createConnection(port, "127.0.0.1")
        for (const socket of [near, far]) {
          sockets.add(socket)
          socket.on("error", () => socket.destroy())
        }
        if (!swallows) near.pipe(far).pipe(near)
      }).listen(0, "127.0.0.1", () => {
        const address = server.address()
        if (typeof address !== "object" || address === null) return
        resume(
          Effect.succeed({
            port: address.port,
            swallow: (later = false) => {
              swallows = later
              for (const socket of sockets) socket.unpipe().resume()
            },
            close: () => {
              server.close()
              for (const socket of sockets) socket.destroy()
            }
          })
        )
      })
    }),
    ({ close }) => Effect.sync(close)
  )

const refused = (effect: Effect.Effect<unknown, unknown>) => Effect.isFailure(effect)

const soon = { schedule: Schedule.spaced("10 millis") }

/** What was logged while the effect ran. */
const logged = <A, E, R>(use: (lines: Array<string>) => Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    lines.push([logLevel, ...(Array.isArray(message) ? message.slice(0, 1) : [message])].join(" "))
  })
  return Effect.provide(use(lines), [Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Debug")])
}

const away = "Debug the connection to Redis is lost"
const back = "Debug the connection to Redis is back"

describe.skipIf(ownRedis.skip)(ownRedis.name, () => {
  layer(Layer.empty, { excludeTestServices: true })("Redis", (it) => {
    it.effect("does not start without a server, and says in one line which keys to look at", () =>
      Effect.gen(function* () {
        const server = yield* startRedis
        const host = "127.0.0.1"
        assert.match(
          yield* whyNot({ redis: { host, port: 1 } }),
          /^redis\.host, redis\.port: no Redis at 127.*:1 .*ECONN.*$/
        )
        assert.match(
          yield* whyNot({ redis: { host: "no.invalid", port: 1 } }),
          /^redis\.host, redis\.port: .*no\.invalid/
        )
        assert.match(yield* whyNot({ redis: { ...server.settings.redis, database: 99 } }), /^redis\.database: .*99/)
        yield* server.command("CONFIG", "SET", "requirepass", "the right one")
        const missing = yield* whyNot(server.settings)
        assert.match(missing, /^redis\.password: .*NOAUTH/)
        const password = Redacted.make("a wrong secret")
        const wrong = yield* whyNot({ redis: { ...server.settings.redis, password } })
        assert.match(wrong, /^redis\.password: .*WRONGPASS/)
        assert.notInclude(wrong, "secret")
        const right = { redis: { ...server.settings.redis, password: Redacted.make("the right one") } }
        yield* Effect.scoped(Effect.flatMap(connect(right), (redis) => redis.ping))
      })
    )

    it.effect("does not start on a server that takes connections and says nothing", () =>
      Effect.gen(function* () {
        const server = yield* startRedis
        const silent = yield* proxyTo(server.port)
        silent.swallow(true)
        assert.match(
          yield* whyNot({ redis: { host: "127.0.0.1", port: silent.port } }),
          /^redis\.host, redis\.port: .*timed out/
        )
      })
    )

    it.effect("fails at once while the server is frozen, and goes on when it thaws, with one line for each", () =>
      logged((lines) =>
        Effect.gen(function* () {
          const server = yield* startRedis
          const redis = yield* connect(server.settings)
          let returns = 0
          yield* redis.onReconnect(() => {
            returns++
          })
          yield* server.freeze
          const since = yield* Clock.currentTimeMillis
          assert.isTrue(yield* refused(redis.ping))
          const first = (yield* Clock.currentTimeMillis) - since
          assert.isBelow(first, 1000)
          for (let i = 0; i < 1000; i++) assert.isTrue(yield* refused(redis.use((client) => client.get("x"))))
          assert.isBelow((yield* Clock.currentTimeMillis) - since - first, 300, "nobody waits for it any more")
          assert.strictEqual((yield* Effect.flip(redis.ping)).message, "no answer within 500 ms")
          yield* server.thaw
          yield* Effect.retry(redis.ping, soon)
          assert.deepStrictEqual([lines, returns], [[away, back], 1])
        })
      )
    )

    it.effect("comes back to a server that was killed and started again", () =>
      logged((lines) =>
        Effect.gen(function* () {
          const server = yield* startRedis
          const redis = yield* connect(server.settings)
          yield* redis.use((client) => client.set("key", "1"))
          yield* server.kill
          yield* Effect.repeat(Effect.exit(redis.ping), { ...soon, until: Exit.isFailure })
          yield* server.restart
          yield* Effect.retry(redis.ping, soon)
          assert.isNull(yield* redis.use((client) => client.get("key")))
          assert.deepStrictEqual(lines, [away, back])
        })
      )
    )

    it.effect("gives up a connection that is dead at the other end", () =>
      Effect.gen(function* () {
        const server = yield* startRedis
        const proxy = yield* proxyTo(server.port)
        const redis = yield* connect({ redis: { host: "127.0.0.1", port: proxy.port } })
        const id = redis.use((client) => client.client("ID"))
        const before = yield* id
        proxy.swallow()
        yield* Effect.repeat(Effect.exit(redis.ping), { ...soon, until: Exit.isFailure })
        yield* Effect.retry(redis.ping, soon)
        assert.notStrictEqual(yield* id, before)
      })
    )

    it.effect("limits hold for all nodes together, for each node alone while Redis is away, and together again", () =>
      Effect.gen(function* () {
        const server = yield* startRedis
        const nodes = [yield* limitsOn(server.settings), yield* limitsOn(server.settings)] as const
        const uses = (key: string) =>
          Effect.map(
            Effect.forEach(nodes, (node) =>
              Effect.forEach(Array.from({ length: 8 }), () => Effect.isSuccess(node.consume(key, 5, "1 minute")))
            ),
            (outcomes) => outcomes.map((each) => each.filter(Boolean).length)
          )
        assert.deepStrictEqual(yield* uses("a"), [5, 0])
        yield* server.freeze
        const since = yield* Clock.currentTimeMillis
        assert.deepStrictEqual(yield* uses("b"), [5, 5])
        assert.isBelow((yield* Clock.currentTimeMillis) - since, 2000)
        yield* nodes[0].giveBack("b", 5, "1 minute")
        assert.deepStrictEqual(yield* uses("b"), [1, 0])
        yield* server.thaw
        let round = 0
        yield* Effect.suspend(() => uses(`c${round++}`)).pipe(
          Effect.repeat({ ...soon, until: ([near, far]) => near === 5 && far === 0 })
        )
        yield* server.command("FLUSHALL")
        yield* server.command("SCRIPT", "FLUSH")
        assert.deepStrictEqual(yield* uses("a"), [5, 0])
        yield* server.kill
        assert.deepStrictEqual(yield* uses("d"), [5, 5])
        yield* server.restart
        yield* Effect.suspend(() => uses(`e${round++}`)).pipe(
          Effect.repeat({ ...soon, until: ([near, far]) => near === 5 && far === 0 })
        )
      })
    )
  })
})
