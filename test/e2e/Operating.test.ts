import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer, Schedule, Schema } from "effect"
import { ReadinessReport } from "../../src/domain/Readiness.ts"
import { api, connect } from "../support/Client.ts"
import { startNode } from "../support/Node.ts"
import { redisCommand, serversAreThere, startNats, startPostgres, startRedis } from "../support/Servers.ts"
import { patience, promptly } from "../support/TimeLimits.ts"

const secrets = {
  postgres: "planted-postgres-password",
  redis: "planted-redis-password",
  nats: "planted-nats-password",
  jwt: "planted-signing-key-of-more-than-32-bytes",
  body: "planted message body",
  draft: "planted second body"
}

const all = ["redis", "nats", "postgres"] as const

/** A node on three servers, with a different password for each. */
const start = Effect.gen(function* () {
  const [postgres, nats, redis] = yield* Effect.all([startPostgres, startNats, startRedis], { concurrency: 3 })
  const node = yield* startNode({
    "postgres.host": "127.0.0.1",
    "postgres.port": postgres.port,
    "postgres.password": secrets.postgres,
    "redis.host": "127.0.0.1",
    "redis.port": redis.port,
    "redis.password": secrets.redis,
    "nats.address": `nats://planted-user:${secrets.nats}@127.0.0.1:${nats.port}`,
    "jwt.secret": secrets.jwt
  })
  return { node, servers: { postgres, nats, redis } }
})

class Running extends Context.Service<Running, Effect.Success<typeof start>>()("chat/test/Running") {
  static readonly layer = Layer.effect(Running, start)
}

const decodeReport = Schema.decodeUnknownSync(ReadinessReport)

const ready = (url: string) => Effect.map(api(url).ask("GET", "/ready"), ({ body }) => decodeReport(body))

const until = (url: string, wanted: (report: ReadinessReport) => boolean) =>
  ready(url).pipe(Effect.repeat({ until: wanted, schedule: Schedule.spaced("20 millis") }), Effect.timeout(patience))

/**
 * The shortest time of a few requests: a busy machine may be slow once, but a request that waits for something is slow
 * each time.
 */
const quickest = (url: string, path: string) =>
  Effect.map(
    Effect.forEach([1, 2, 3], () =>
      Effect.sync(() => performance.now()).pipe(
        Effect.flatMap((since) => Effect.map(api(url).ask("GET", path), () => performance.now() - since))
      )
    ),
    (times) => Math.min(...times)
  )

const title = `a node under the eyes of its operator${serversAreThere ? "" : " (no PostgreSQL 15, NATS or Redis to start)"}`

describe.skipIf(!serversAreThere)(title, () => {
  layer(Running.layer, { excludeTestServices: true })((it) => {
    it.effect("answers health checks at once while any of its servers hangs, and logs each loss in one line", () =>
      Effect.gen(function* () {
        const { node, servers } = yield* Running
        const first = yield* until(node.url, ({ status }) => status === "ready")
        assert.match(String(first.migrations.latest), /^\d+_\w+$/)
        assert.deepStrictEqual(first.migrations.newer, [])
        const from = node.log.length
        yield* Effect.forEach(all, (name) => servers[name].freeze)
        const gone = yield* until(node.url, ({ dependencies }) =>
          all.every((name) => dependencies[name]?.status === "down")
        )
        assert.strictEqual(gone.status, "unavailable")
        for (const path of ["/health", "/ready"]) assert.isBelow(yield* quickest(node.url, path), promptly(1000), path)
        yield* Effect.forEach(all, (name) => servers[name].thaw)
        const back = yield* until(node.url, ({ status }) => status === "ready")
        for (const name of all) {
          assert.isAtLeast(back.dependencies[name]?.latencyMs ?? -1, 0)
          const since = (report: ReadinessReport) => Date.parse(report.dependencies[name]?.since ?? "")
          assert.isTrue(since(first) < since(gone) && since(gone) < since(back), name)
          const lines = node.log
            .slice(from)
            .filter(
              ({ level, dependency, message }) =>
                level !== "DEBUG" &&
                (dependency === name || new RegExp(`${name}.*(lost|back)`, "i").test(String(message)))
            )
          assert.deepStrictEqual(
            lines.map(({ level, message }) => `${level} ${String(message).split(":")[0]}`),
            [`WARN ${name} is down`, `INFO ${name} is up`]
          )
        }
      })
    )

    it.effect("is degraded and says why while its Redis answers but refuses writes", () =>
      Effect.gen(function* () {
        const { node, servers } = yield* Running
        yield* until(node.url, ({ status }) => status === "ready")
        const from = node.log.length
        yield* redisCommand(servers.redis.port, "CONFIG", "SET", "min-replicas-to-write", "1")
        const refusing = yield* until(node.url, ({ status }) => status === "degraded")
        assert.match(refusing.dependencies.redis?.detail ?? "", /^NOREPLICAS /)
        yield* redisCommand(servers.redis.port, "CONFIG", "SET", "min-replicas-to-write", "0")
        yield* until(node.url, ({ status }) => status === "ready")
        const lines = node.log.slice(from).filter(({ dependency }) => dependency === "redis")
        assert.deepStrictEqual(
          lines.map(({ level, message }) => `${level} ${String(message).split(":")[0]}`),
          ["WARN redis is down", "INFO redis is up"]
        )
      })
    )

    it.effect("shows no secret in its log or its metrics, even at level debug", () =>
      Effect.gen(function* () {
        const { node, servers } = yield* Running
        node.kill("SIGUSR2")
        yield* node.logged(({ level, message }) => message === "log level changed" && level === "INFO")
        const http = api(node.url)
        const [ann, bob] = [yield* http.register(), yield* http.register()]
        const id = yield* http.dm(ann, bob)
        const client = yield* connect(node.url)
        yield* client.ready(ann.token)
        yield* client.ok("message.send", { conversationId: id, clientMessageId: "planted-1", body: secrets.body })
        yield* http.post(ann, id, "planted-2", secrets.draft)
        yield* client.error("message.send", { conversationId: secrets.body, clientMessageId: "", body: secrets.body })
        yield* http.ask("POST", `/v1/conversations/${encodeURIComponent(secrets.body)}/messages`, {
          token: ann.token,
          json: secrets
        })
        yield* http.ask("POST", "/v1/auth/login", { json: { login: ann.username, password: secrets.draft } })
        yield* http.ask("POST", "/v1/auth/refresh", { json: { refreshToken: secrets.body } })
        yield* http.ask("GET", `/v1/users/me?token=${encodeURIComponent(secrets.draft)}`, { token: secrets.body })
        const login = yield* http.ask("POST", "/v1/auth/login", {
          json: { login: ann.username, password: ann.password }
        })
        const refreshToken = /"refreshToken":"([^"]+)"/.exec(JSON.stringify(login.body))?.[1] ?? "none"
        for (const _ of [1, 2, 3]) yield* http.ask("POST", "/v1/auth/refresh", { json: { refreshToken } })
        const stranger = yield* connect(node.url)
        stranger.request("hello", { token: `${ann.token}x` })
        yield* stranger.closed
        const broken = yield* connect(node.url)
        broken.raw(`{"id":1,"op":"hello","data":{"token":"${ann.token}"`)
        yield* broken.closed
        // A failure on the way to a server must not log the data or the password of the connection.
        yield* Effect.forEach(all, (name) => servers[name].kill)
        yield* until(node.url, ({ dependencies }) => all.every((name) => dependencies[name]?.status === "down"))
        yield* client.error("message.send", { conversationId: id, clientMessageId: "planted-3", body: secrets.body })
        yield* http.ask("POST", "/v1/auth/login", { json: { login: ann.username, password: ann.password } })
        yield* Effect.forEach(all, (name) => servers[name].start, { concurrency: 3 })
        yield* until(node.url, ({ status }) => status === "ready")
        node.kill("SIGUSR2")
        yield* node.logged(({ level, message }) => message === "log level changed" && level === "INFO")
        const metrics = yield* Effect.promise(() => fetch(`${node.url}/metrics`).then((answer) => answer.text()))
        const everything = [JSON.stringify(node.log), ...node.said, metrics].join("\n")
        const planted = {
          ...secrets,
          token: ann.token,
          password: ann.password,
          "other token": bob.token,
          refreshToken
        }
        assert.isTrue(node.log.some(({ level }) => level === "DEBUG"))
        assert.isTrue(node.log.some(({ level, status }) => level === "ERROR" && status === 503))
        for (const [name, secret] of Object.entries(planted)) assert.isFalse(everything.includes(secret), name)
      })
    )
  })
})
