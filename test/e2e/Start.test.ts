import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { api } from "../support/Client.ts"
import { freePort } from "../support/NatsServer.ts"
import { dataDirectory, startNode } from "../support/Node.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "chat-start-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

/** The argument with which Node runs a module before everything else. */
const preload = (module: string) => ["--import", `data:text/javascript,${encodeURIComponent(module)}`]

describe("a start", () => {
  it.live("loads nothing that only few need, and keeps what it compiled at once", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const file = join(directory, "loaded")
      const watch = `
        import { registerHooks } from "node:module"
        import { writeFileSync } from "node:fs"
        const urls = []
        registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) })
        process.on("exit", () => writeFileSync(${JSON.stringify(file)}, urls.join("\\n")))`
      const node = yield* startNode(
        { "tracing.enabled": "true", "tracing.endpoint": "http://127.0.0.1:9/api/traces" },
        {
          command: [
            "env",
            `NODE_COMPILE_CACHE=${join(directory, "cache")}`,
            process.execPath,
            ...preload(watch),
            "src/main.ts"
          ]
        }
      )
      assert.strictEqual((yield* api(node.url).ask("GET", "/ready")).status, 200)
      const compiled = Effect.sync(() => readdirSync(join(directory, "cache"), { recursive: true }).length)
      yield* Effect.repeat(compiled, { until: (files) => files > 500, schedule: Schedule.spaced("50 millis") })
      node.kill("SIGTERM")
      assert.strictEqual(yield* node.exit, 0)
      const loaded = readFileSync(file, "utf8")
      assert.match(loaded, /sdk-trace-base/)
      for (const few of [
        /JaegerExporter/,
        /exporter-trace-otlp/,
        /@aws-sdk/,
        /file-type/,
        /music-metadata/,
        /sharp/,
        /httpApiScalar/
      ])
        assert.notMatch(loaded, few)
    }).pipe(Effect.scoped)
  )

  it("uses what earlier ones have compiled, beside the packages", () => {
    const where = `
      import { getCompileCacheDir } from "node:module"
      process.on("exit", () => console.log(getCompileCacheDir()))`
    const { stdout } = spawnSync(process.execPath, [...preload(where), "src/main.ts", "--version"], {
      encoding: "utf8"
    })
    const [, directory = ""] = stdout.split("\n")
    assert.include(directory, join(process.cwd(), "node_modules/.cache/chat-service"))
    assert.isTrue(existsSync(directory))
  })

  it.live("on an empty directory, and its stop, log a handful of lines that frighten nobody", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ "data.dir": yield* dataDirectory, "shutdown.lame_duck": 0, "timers.drain": 0 })
      const last = yield* node.logged(({ message }) => String(message).startsWith("open http"))
      assert.strictEqual(node.log.at(-1), last)
      assert.isAtMost(node.log.length, 7)
      node.kill("SIGTERM")
      assert.strictEqual(yield* node.exit, 0)
      assert.isAtMost(node.log.length, 11)
      assert.deepStrictEqual(
        node.log.filter(
          ({ level, message }) => level !== "INFO" || /fail|error|abort|terminat|exit/i.test(String(message))
        ),
        []
      )
    }).pipe(Effect.scoped)
  )

  it.live("without NATS and Redis is degraded, logs one line for each, and last the URL to open", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const [nats, redis] = [yield* freePort, yield* freePort]
      const node = yield* startNode({
        "data.dir": dataDir,
        "server.host": "127.0.0.1",
        "nats.address": `nats://127.0.0.1:${nats}`,
        "redis.port": redis,
        "redis.host": "127.0.0.1"
      })
      const ready = yield* api(node.url).ask("GET", "/ready")
      assert.strictEqual(ready.status, 200)
      assert.propertyVal(ready.body, "status", "degraded")
      const warnings = node.log.filter(({ level }) => level === "WARN" || level === "ERROR")
      assert.deepStrictEqual(warnings.map(({ dependency, level }) => [level, dependency]).sort(), [
        ["WARN", "nats"],
        ["WARN", "redis"]
      ])
      assert.match(String(warnings.find(({ dependency }) => dependency === "nats")?.reason), /^nats\.address: /)
      assert.match(String(warnings.find(({ dependency }) => dependency === "redis")?.reason), /^redis\.host, /)
      const last = yield* node.logged(({ message }) => String(message).startsWith("open http"))
      assert.strictEqual(
        last.message,
        `open ${node.url}/docs to read about the API and to try it; the chat page is off (server.web)`
      )
      const listening = node.log.findIndex(({ message }) => message === "listening")
      assert.deepStrictEqual(Object.keys(node.log[listening] ?? {}), ["time", "level", "message", "url", "port"])
      assert.strictEqual(node.log[listening + 1], last)

      // The port is taken now, which is reported before a second database is started.
      const port = new URL(node.url).port
      const second = yield* Effect.sync(() =>
        spawnSync(process.execPath, ["src/main.ts", "--port", port, "--data-dir", dataDir], {
          encoding: "utf8",
          env: {
            PATH: process.env.PATH,
            CHAT_SERVER__HOST: "127.0.0.1",
            CHAT_LOGGING__LEVEL: "debug",
            CHAT_URL: node.url,
            CHAT_SERVICE_PORT: "1"
          }
        })
      )
      assert.strictEqual(second.status, 1)
      assert.match(
        second.stderr,
        /^chat-service: ignored variables of Kubernetes.*\nchat-service: server\.port: port \d+ is in use/
      )
      assert.notMatch(second.stdout, /postgres: /)
      node.kill("SIGTERM")
      assert.strictEqual(yield* node.exit, 0)
      assert.notMatch(JSON.stringify(node.log), /logical replication launcher/)
    }).pipe(Effect.scoped)
  )
})
