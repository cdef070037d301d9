import { createConnection, createServer, type Socket } from "node:net"
import { assert, describe, layer } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Layer, Logger, Redacted, References, Schedule, type Scope } from "effect"
import { Redis } from "../../src/layers/redis/Redis.ts"
import * as RedisLimits from "../../src/layers/redis/RedisLimits.ts"
import { Limits } from "../../src/services/platform/Limits.ts"
import type { SettingsOverrides } from "../../src/testing/memory/Settings.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { makeCertificate } from "../support/Certificates.ts"
import { freePort } from "../support/NatsServer.ts"
import { ownRedis, startRedis, startRedisWith } from "../support/RedisServers.ts"
import { counting, sample } from "../support/Samples.ts"
import { promptly } from "../support/TimeLimits.ts"

const connect = (settings: SettingsOverrides): Effect.Effect<Redis["Service"], unknown, Scope.Scope> =>
  Effect.map(
    Layer.build(Layer.fresh(Redis.layer).pipe(Layer.provide(Layer.fresh(SettingsMemory.layerMemory(settings))))),
    (context) => Context.get(context, Redis)
  )

const limitsOn = (settings: SettingsOverrides) =>
  Effect.map(
    Layer.build(
      Layer.fresh(RedisLimits.layer).pipe(
        Layer.provide(Layer.fresh(Redis.layer).pipe(Layer.provide(Layer.fresh(SettingsMemory.layerMemory(settings)))))
      )
    ),
    (context) => Context.get(context, Limits)
  )

const whyNot = (settings: SettingsOverrides) =>
  Effect.map(Effect.flip(Effect.scoped(connect(settings))), (error) => (error instanceof Error ? error.message : ""))

/**
 * Forwards connections to `port`. Those that it swallows stay open, but carry nothing any more. New ones go where
 * `leadTo` says.
 */
const proxyTo = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<{
      readonly port: number
      readonly swallow: (later?: boolean) => void
      readonly leadTo: (port: number) => void
      readonly close: () => void
    }>((resume) => {
      const sockets = new Set<Socket>()
      let swallows = false
      let target = port
      const server = createServer((near) => {
        const far = createConnection(target, "127.0.0.1")
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
            leadTo: (port) => {
              target = port
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

type Command = readonly [string, ...Array<string>]

const refused = (effect: Effect.Effect<unknown, unknown>) => Effect.isFailure(effect)

const soon = { schedule: Schedule.spaced("10 millis") }

/** The lines that were logged while the effect ran. */
const logged = <A, E, R>(use: (lines: Array<string>) => Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    lines.push([logLevel, ...(Array.isArray(message) ? message.slice(0, 1) : [message])].join(" "))
  })
  return Effect.provide(use(lines), [Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Debug")])
}

const down = "Debug Redis is lost"
const back = "Debug Redis is back"

describe.skipIf(ownRedis.skip)(ownRedis.name, () => {
  layer(Layer.empty, { excludeTestServices: true })("Redis", (it) => {
    it.effect("does not start with settings that the server refuses, and names them in one line", () =>
      Effect.gen(function* () {
        const server = yield* startRedis
        assert.match(yield* whyNot({ redis: { ...server.settings.redis, database: 99 } }), /^redis\.database: .*99/)
        const tlsCaFile = "/nowhere/hunter2"
        const file = yield* whyNot({ redis: { ...server.settings.redis, tlsCaFile } })
        assert.match(file, /^redis\.tls_ca_file: .*ENOENT/)
        assert.notInclude(file, "hunter2")
        yield* server.command("CONFIG", "SET", "requirepass", "the right one")
        const missing = yield* whyNot(server.settings)
        assert.match(missing, /^redis\.password: .*NOAUTH/)
        const password = Redacted.make("a wrong secret")
        const wrong = yield* whyNot({ redis: { ...server.settings.redis, password } })
        assert.match(wrong, /^redis\.password: .*WRONGPASS/)
        assert.notInclude(wrong, "secret")
        const right = { redis: { ...server.settings.redis, password: Redacted.make("the right one") } }
        yield* Effect.scoped(Effect.flatMap(connect(right), (redis) => redis.probe))
      })
    )

    it.effect("starts without a server, says in one line which keys to check, and uses the server when it comes", () =>
      Effect.gen(function* () {
        const reasonOf = (settings: SettingsOverrides) =>
          Effect.scoped(
            Effect.map(
              Effect.flatMap(connect(settings), (redis) => Effect.flip(redis.probe)),
              ({ message }) => message
            )
          )
        const host = "127.0.0.1"
        assert.match(
          yield* reasonOf({ redis: { host, port: 1 } }),
          /^redis\.host, redis\.port: cannot use Redis at 127.*:1 .*ECONN.*$/
        )
        assert.match(
          yield* reasonOf({ redis: { host: "no.invalid", port: 1 } }),
          /^redis\.host, redis\.port: .*no\.invalid/
        )
        const server = yield* startRedis
        const silent = yield* proxyTo(server.port)
        silent.swallow(true)
        assert.match(
          yield* reasonOf({ redis: { host, port: silent.port } }),
          /^redis\.host, redis\.port: .*no answer within 500 ms/
        )
        yield* server.kill
        const redis = yield* connect(server.settings)
        assert.isTrue(yield* refused(redis.probe))
        let returns = 0
        yield* redis.onReconnect(() => {
          returns++
        })
        yield* server.restart
        yield* Effect.retry(redis.probe, soon)
        assert.strictEqual(returns, 1)
      })
    )

    it.effect("does not start on a node of a Redis Cluster", () =>
      Effect.gen(function* () {
        const server = yield* startRedisWith(["--cluster-enabled", "yes"])
        assert.match(yield* whyNot(server.settings), /^redis\.host, redis\.port: .* is a node of a Redis Cluster/)
      })
    )

    it.effect("signs in with a username, and speaks TLS", () =>
      Effect.gen(function* () {
        const { ca, cert, key } = yield* makeCertificate
        const tls = yield* freePort
        const server = yield* startRedisWith([
          ...["--tls-port", String(tls), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca]
        ])
        yield* server.command("ACL", "SETUSER", "chat", "on", ">hunter2", "~*", "+@all")
        yield* server.command("ACL", "SETUSER", "default", "-@write")
        const user = { username: "chat", password: Redacted.make("hunter2") }
        const files = { tlsCaFile: ca, tlsCertFile: cert, tlsKeyFile: key }
        const redis = yield* connect({ redis: { host: "127.0.0.1", port: tls, ...user, ...files } })
        yield* redis.probe
        assert.strictEqual(yield* redis.use((client) => client.acl("WHOAMI")), "chat")
        const wrong = yield* whyNot({ redis: { ...server.settings.redis, ...user, password: Redacted.make("x") } })
        assert.match(wrong, /^redis\.username, redis\.password: .*WRONGPASS/)
        // The certificate is not signed by an authority that this system trusts.
        const untrusted = yield* connect({ redis: { host: "127.0.0.1", port: tls, ...user, tls: true } })
        assert.match((yield* Effect.flip(untrusted.probe)).message, /self-signed certificate/)
      })
    )

    const refusals: ReadonlyArray<{ readonly code: string; readonly refuse: Command; readonly allow: Command }> = [
      { code: "READONLY", refuse: ["REPLICAOF", "127.0.0.1", "1"], allow: ["REPLICAOF", "NO", "ONE"] },
      {
        code: "NOREPLICAS",
        refuse: ["CONFIG", "SET", "min-replicas-to-write", "1"],
        allow: ["CONFIG", "SET", "min-replicas-to-write", "0"]
      },
      { code: "OOM", refuse: ["CONFIG", "SET", "maxmemory", "1"], allow: ["CONFIG", "SET", "maxmemory", "0"] },
      {
        code: "NOPERM",
        refuse: ["ACL", "SETUSER", "default", "-@write"],
        allow: ["ACL", "SETUSER", "default", "+@write"]
      }
    ]
    for (const { allow, code, refuse } of refusals) {
      it.effect(`is down while the server refuses writes (${code}), and limits count in this process meanwhile`, () =>
        Effect.gen(function* () {
          const server = yield* startRedis
          const redis = yield* connect(server.settings)
          const limits = yield* limitsOn(server.settings)
          const used = (key: string) =>
            Effect.map(
              Effect.forEach(Array.from({ length: 9 }), () => Effect.isSuccess(limits.consume(key, 5, "1 minute"))),
              (outcomes) => outcomes.filter(Boolean).length
            )
          yield* redis.probe
          yield* server.command(...refuse)
          assert.strictEqual(yield* used("a"), 5)
          const { message } = yield* Effect.flip(redis.probe)
          assert.include(message, code)
          assert.notInclude(message, "script")
          // From now on no request goes to the server.
          assert.strictEqual((yield* Effect.flip(redis.use((client) => client.ping()))).message, message)
          yield* server.command(...allow)
          yield* Effect.retry(redis.probe, soon)
          const isShared = Effect.map(server.command("EXISTS", "chat:limit:c"), (found) => found === 1)
          yield* Effect.andThen(used("c"), isShared).pipe(Effect.repeat({ ...soon, until: (shared) => shared }))
        })
      )
    }

    it.effect("connects again when its server has become a replica, because its name may lead to the primary", () =>
      Effect.gen(function* () {
        const [old, primary] = [yield* startRedis, yield* startRedis]
        const proxy = yield* proxyTo(old.port)
        const redis = yield* connect({ redis: { host: "127.0.0.1", port: proxy.port } })
        yield* redis.probe
        proxy.leadTo(primary.port)
        yield* old.command("REPLICAOF", "127.0.0.1", String(primary.port))
        yield* Effect.repeat(Effect.exit(redis.probe), { ...soon, until: Exit.isFailure })
        yield* Effect.retry(redis.probe, soon)
        yield* redis.use((client) => client.set("key", "1"))
        assert.strictEqual(yield* primary.command("GET", "key"), "1")
      })
    )

    it.effect("deletes and counts counters that this service cannot have written", () =>
      Effect.gen(function* () {
        const server = yield* startRedis
        const limits = yield* limitsOn(server.settings)
        const taken = (key: string) =>
          Effect.map(
            Effect.forEach(Array.from({ length: 9 }), () => Effect.isSuccess(limits.consume(key, 5, "1 minute"))),
            (outcomes) => outcomes.filter(Boolean).length
          )
        yield* server.command("RPUSH", "chat:limit:list", "x")
        yield* server.command("HSET", "chat:limit:hash", "x", "y")
        yield* server.command("SET", "chat:limit:text", "words")
        yield* server.command("SET", "chat:limit:endless", "1000000")
        yield* server.command("SET", "chat:limit:negative", "-1000000", "PX", "60000")
        yield* server.command("SET", "chat:limit:infinite", "-1e400", "PX", "60000")
        for (const key of ["list", "hash", "text", "endless", "negative", "infinite"]) {
          assert.strictEqual(yield* taken(key), 5, key)
          assert.strictEqual(yield* server.command("TYPE", `chat:limit:${key}`), "string", key)
          assert.isAbove(Number(yield* server.command("PTTL", `chat:limit:${key}`)), 0, key)
        }
        yield* server.command("DEL", "chat:limit:list")
        yield* server.command("RPUSH", "chat:limit:list", "x")
        yield* limits.giveBack("list", 5, "1 minute")
        assert.strictEqual(yield* sample(`chat_redis_keys_deleted_total{kind="limit"}`), 6)
      }).pipe(Effect.provide(counting))
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
          assert.isTrue(yield* refused(redis.probe))
          const first = (yield* Clock.currentTimeMillis) - since
          assert.isBelow(first, promptly(1000))
          // If each of them waited for it, they would take longer than the whole test may.
          for (let i = 0; i < 1000; i++) assert.isTrue(yield* refused(redis.use((client) => client.get("x"))))
          assert.strictEqual((yield* Effect.flip(redis.probe)).message, "no answer within 500 ms")
          yield* server.thaw
          yield* Effect.retry(redis.probe, soon)
          assert.deepStrictEqual([lines, returns], [[down, back], 1])
        })
      )
    )

    it.effect("reconnects to a server that was killed and started again", () =>
      logged((lines) =>
        Effect.gen(function* () {
          const server = yield* startRedis
          const redis = yield* connect(server.settings)
          yield* redis.use((client) => client.set("key", "1"))
          yield* server.kill
          yield* Effect.repeat(Effect.exit(redis.probe), { ...soon, until: Exit.isFailure })
          yield* server.restart
          yield* Effect.retry(redis.probe, soon)
          assert.isNull(yield* redis.use((client) => client.get("key")))
          assert.deepStrictEqual(lines, [down, back])
        })
      )
    )

    it.effect("says why the server is down now, not why it was before", () =>
      Effect.gen(function* () {
        const server = yield* startRedis
        const redis = yield* connect(server.settings)
        yield* server.freeze
        const reason = Effect.map(Effect.flip(redis.probe), ({ message }) => message)
        assert.strictEqual(yield* reason, "no answer within 500 ms")
        yield* server.kill
        yield* Effect.repeat(reason, { ...soon, until: (message) => message.includes("ECONNREFUSED") })
        yield* server.restart
        yield* Effect.retry(redis.probe, soon)
      })
    )

    it.effect("gives up a connection that is dead at the other end", () =>
      Effect.gen(function* () {
        const server = yield* startRedis
        const proxy = yield* proxyTo(server.port)
        const redis = yield* connect({ redis: { host: "127.0.0.1", port: proxy.port } })
        const id = redis.use((client) => client.client("ID"))
        const before = yield* id
        proxy.swallow()
        yield* Effect.repeat(Effect.exit(redis.probe), { ...soon, until: Exit.isFailure })
        yield* Effect.retry(redis.probe, soon)
        assert.notStrictEqual(yield* id, before)
      })
    )

    it.effect("limits hold for all nodes together, for each node alone while Redis is down, and together again", () =>
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
        assert.isBelow((yield* Clock.currentTimeMillis) - since, promptly(2000))
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
