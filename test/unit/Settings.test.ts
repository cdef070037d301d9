import { spawnSync } from "node:child_process"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Path, Redacted } from "effect"
import { load, type SettingsInput, layer as settingsLayer, toYaml } from "../../src/layers/Settings.ts"
import { Settings } from "../../src/services/Settings.ts"

const published = "ASDWRTGHJKLQWERTYUIOPZXCVBNMASDFGHJKLQWERTYUIOPZXCVBNM"

const directory = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())

const file = Effect.fnUntraced(function* (content: string) {
  const fs = yield* FileSystem.FileSystem
  const path = (yield* Path.Path).join(yield* directory, "settings")
  yield* fs.writeFileString(path, content)
  return path
})

/** Without the environment of the test run, unless the test gives one. */
const read = (input: SettingsInput) => load({ environment: {}, ...input })

const readFile = Effect.fnUntraced(function* (yaml: string) {
  return yield* read({ config: yield* file(yaml) })
})

const started = (input: SettingsInput) =>
  Effect.provide(
    Effect.map(Settings, (settings) => settings),
    settingsLayer({ environment: {}, ...input })
  )

const lineOf = <A, E extends { readonly message: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), ({ message }) => {
    assert.notInclude(message, "\n")
    return message
  })

const assertLine = Effect.fnUntraced(function* <A, E extends { readonly message: string }, R>(
  effect: Effect.Effect<A, E, R>,
  ...words: ReadonlyArray<string>
) {
  const line = yield* lineOf(effect)
  for (const word of words) assert.include(line, word)
})

layer(NodeServices.layer)("Settings", (it) => {
  describe("sources", () => {
    it.effect("are the defaults when nothing is given, with every server in-process", () =>
      Effect.gen(function* () {
        const settings = yield* read({})
        assert.deepStrictEqual(settings.server, {
          port: 8080,
          origin: "http://localhost:8080",
          trustedProxies: [],
          allowedOrigins: ["http://localhost:8080"]
        })
        assert.deepStrictEqual([settings.postgres, settings.redis, settings.nats], [undefined, undefined, undefined])
        assert.deepStrictEqual(settings.limits.usernameLength, { min: 3, max: 32 })
        assert.strictEqual(settings.timers.gapWait, 50)
        assert.strictEqual(settings.jwt.expiration, 3_600_000)
      })
    )

    it.effect("read the origin's config.yaml", () =>
      Effect.gen(function* () {
        const settings = yield* read({ config: "config.yaml" })
        assert.strictEqual(settings.postgres?.database, "chat_socio")
        assert.strictEqual(settings.redis?.port, 6379)
        assert.strictEqual(settings.nats?.address, "nats://localhost:4222")
        assert.strictEqual(settings.tracing.serviceName, "chat-service")
        assert.strictEqual(settings.metrics.port, 9090)
        assert.strictEqual(settings.jwt.secret && Redacted.value(settings.jwt.secret), published)
      })
    )

    it.effect("win in the order flags, environment, file, defaults", () =>
      Effect.gen(function* () {
        const config = yield* file("limits:\n  page_size: 1\n  json_depth: 1\n  title_length: 1\n")
        const { limits } = yield* read({
          config,
          environment: { CHAT_LIMITS__PAGE_SIZE: "2", CHAT_LIMITS__JSON_DEPTH: "2" },
          flags: ["limits.page_size=3"]
        })
        assert.deepStrictEqual(
          [limits.pageSize, limits.jsonDepth, limits.titleLength, limits.groupMembers],
          [3, 2, 1, 5000]
        )
      })
    )

    it.effect("make a section exist when any of its keys is set anywhere", () =>
      Effect.gen(function* () {
        const settings = yield* read({
          config: yield* file("redis:\n"),
          environment: { CHAT_POSTGRES__HOST: "db" },
          flags: ["nats.address=nats://bus:4222"]
        })
        assert.strictEqual(settings.postgres?.host, "db")
        assert.strictEqual(settings.postgres?.port, 5432)
        assert.deepStrictEqual(settings.nats, { address: "nats://bus:4222", prefix: "chat" })
        assert.isUndefined(settings.redis)
      })
    )

    it.effect("take lists, booleans and durations as text", () =>
      Effect.gen(function* () {
        const { metrics, server, timers } = yield* read({
          environment: {
            CHAT_SERVER__TRUSTED_PROXIES: "10.0.0.0/8, ::1",
            CHAT_METRICS__ENABLED: "false",
            CHAT_TIMERS__HELLO: "0.25",
            CHAT_TIMERS__REPAIR: "500 millis"
          }
        })
        assert.deepStrictEqual(server.trustedProxies, ["10.0.0.0/8", "::1"])
        assert.isFalse(metrics.enabled)
        assert.deepStrictEqual([timers.hello, timers.repair], [250, 500])
      })
    )

    it.effect("follow the port in the default origin", () =>
      Effect.gen(function* () {
        const { server } = yield* read({ flags: ["server.port=18080"] })
        assert.deepStrictEqual(server.allowedOrigins, ["http://localhost:18080"])
      })
    )

    it.effect("read a value from the file that _FILE names, without its line end", () =>
      Effect.gen(function* () {
        const secret = "s".repeat(40)
        const settings = yield* read({ environment: { CHAT_JWT__SECRET_FILE: yield* file(`${secret}\n`) } })
        assert.strictEqual(settings.jwt.secret && Redacted.value(settings.jwt.secret), secret)
      })
    )
  })

  describe("a mistake is one line that names it", () => {
    it.effect.each([
      ["server:\n  port: eighty\n", ["server.port", "a whole number from 0 to 65535"]],
      ["server:\n  prot: 1\n", ["server.prot", "trusted_proxies"]],
      ["server:\n  trustedProxies: []\n", ["server.trustedProxies", "trusted_proxies"]],
      ["server:\n  origin: chat.example.com\n", ["server.origin", "https://chat.example.com"]],
      ["server:\n  trusted_proxies: [10.0.0.0/33]\n", ["server.trusted_proxies", "10.0.0.0/8"]],
      ["sever:\n  port: 1\n", ["sever", "server"]],
      ["__proto__:\n  port: 1\n", ["__proto__"]],
      ["postgres: yes\n", ["postgres", "a section"]],
      ["- server\n", ["sections"]],
      ["server:\n  port: 1\n  port: 2\n", ["not valid YAML", "'port' at line 3"]],
      ["logging:\n  level: loud\n", ["logging.level", "debug, info, warn, error"]],
      ["limits:\n  password_length: 9-3\n", ["limits.password_length", '"3-32"']],
      ["timers:\n  hello: 0\n", ["timers.hello", "seconds"]],
      ["timers:\n  repair: 9999999\n", ["timers.repair", "2147483"]],
      ["tracing:\n  sample_rate: 2\n", ["tracing.sample_rate", "from 0 to 1"]]
    ] as const)("%j", ([yaml, words]) => assertLine(readFile(yaml), ...words))

    it.effect("in a file that is not there", () => assertLine(read({ config: "nope.yaml" }), "nope.yaml", "--config"))

    it.effect("in the environment", () =>
      Effect.gen(function* () {
        yield* assertLine(read({ environment: { CHAT_SERVER_PORT: "1" } }), "CHAT_SERVER_PORT", "CHAT_SERVER__PORT")
        yield* assertLine(read({ environment: { CHAT_SERVER__PORT: "" } }), "server.port", "CHAT_SERVER__PORT")
        yield* assertLine(read({ environment: { CHAT_NO__KEY_FILE: "/dev/null" } }), "CHAT_NO__KEY_FILE")
        const both = { CHAT_JWT__SECRET: "a", CHAT_JWT__SECRET_FILE: "b" }
        yield* assertLine(read({ environment: both }), "CHAT_JWT__SECRET and CHAT_JWT__SECRET_FILE")
      })
    )

    it.effect("on the command line", () =>
      Effect.gen(function* () {
        yield* assertLine(read({ flags: ["server.port"] }), "--set", "section.key=value")
        yield* assertLine(read({ flags: ["server.prot=1"] }), "server.prot", "command line")
        yield* assertLine(read({ flags: ["server.port=x"] }), "server.port", "command line")
      })
    )
  })

  describe("a secret is never shown", () => {
    it.effect.each([
      "jwt:\n  secret: hunter2\n",
      'jwt:\n  secret: "hunter2\n',
      "jwt:\n  secret: *hunter2\n",
      "jwt:\n  secret: [hunter2]\n",
      "jwt:\n  previous_secrets: [hunter2]\n",
      "postgres:\n  password: { a: hunter2 }\n",
      "postgres:\n  password: a: hunter2\n"
    ])("in a mistake: %j", (yaml) => Effect.map(lineOf(readFile(yaml)), (line) => assert.notInclude(line, "hunter2")))

    it.effect("when its _FILE holds the secret itself", () =>
      Effect.gen(function* () {
        const line = yield* lineOf(read({ environment: { CHAT_JWT__SECRET_FILE: "hunter2" } }))
        assert.include(line, "CHAT_JWT__SECRET_FILE")
        assert.notInclude(line, "hunter2")
      })
    )

    it.effect("in the printed settings, which are a settings file again", () =>
      Effect.gen(function* () {
        const secret = `hunter2${"x".repeat(32)}`
        const settings = yield* read({
          config: yield* file(`jwt:\n  secret: ${secret}\n  previous_secrets: [${secret}]\n`),
          environment: { CHAT_NATS__ADDRESS: "nats://me:hunter2@bus:4222", CHAT_POSTGRES__PASSWORD: "hunter2" }
        })
        const printed = toYaml(settings)
        assert.notInclude(printed, "hunter2")
        const withoutKeys = printed.replace(/^.*secrets?: .*$/gm, "")
        const again = yield* readFile(withoutKeys)
        assert.deepStrictEqual(again.limits, settings.limits)
        assert.deepStrictEqual(again.timers, settings.timers)
        assert.deepStrictEqual(again.server, settings.server)
      })
    )
  })

  describe("the signing key", () => {
    it.effect("is made, and kept in the data directory for its owner alone", () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const dir = `${yield* directory}/deep/data`
        const input = { flags: [`data.dir=${dir}`] }
        const secretOf = Effect.map(started(input), ({ jwt }) => jwt.secret && Redacted.value(jwt.secret))
        const [one, two] = yield* Effect.all([secretOf, secretOf], { concurrency: 2 })
        assert.isTrue(one !== undefined && one.length >= 32)
        assert.strictEqual(one, two)
        assert.strictEqual(one, yield* secretOf)
        assert.deepStrictEqual(yield* fs.readDirectory(dir), ["jwt.secret"])
        assert.strictEqual((yield* fs.stat(`${dir}/jwt.secret`)).mode & 0o777, 0o600)
      })
    )

    it.effect("is refused when the kept one is too short, or cannot be kept", () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const dir = yield* directory
        yield* fs.writeFileString(`${dir}/jwt.secret`, "short")
        yield* assertLine(started({ flags: [`data.dir=${dir}`] }), "jwt.secret", dir)
        yield* assertLine(started({ flags: [`data.dir=${dir}/jwt.secret/x`] }), "data.dir", "writable")
      })
    )

    it.effect("must be given beside a PostgreSQL server", () =>
      assertLine(started({ flags: ["postgres.host=db"] }), "jwt.secret is missing", "CHAT_JWT__SECRET")
    )

    it.effect("may be the published one on localhost only", () =>
      Effect.gen(function* () {
        const config = "config.yaml"
        const settings = yield* started({ config })
        assert.isDefined(settings.jwt.secret)
        const elsewhere = "server.origin=https://chat.example.com"
        yield* assertLine(started({ config, flags: [elsewhere] }), "jwt.secret", "published")
        const previous = [elsewhere, `jwt.secret=${"x".repeat(32)}`, `jwt.previous_secrets=${published}`]
        yield* assertLine(started({ flags: previous }), "jwt.previous_secrets")
      })
    )
  })

  describe("the fake", () => {
    it.effect("is the defaults with a signing key and the overrides", () =>
      Effect.gen(function* () {
        const settings = yield* Settings
        assert.strictEqual(settings.timers.hello, 5)
        assert.strictEqual(settings.timers.heartbeat, 25_000)
        assert.strictEqual(settings.nats?.address, "nats://localhost:4222")
        assert.isUndefined(settings.redis)
        assert.isDefined(settings.jwt.secret)
      }).pipe(Effect.provide(Layer.fresh(Settings.layerTest({ timers: { hello: 5 }, nats: {} }))))
    )
  })

  describe("the command line", () => {
    const run = (...args: ReadonlyArray<string>) =>
      Effect.sync(() => {
        const env = { PATH: process.env.PATH, CHAT_POSTGRES__PASSWORD: "hunter2" }
        return spawnSync(process.execPath, ["src/main.ts", ...args], { encoding: "utf8", env })
      })

    it.effect("prints the effective settings, with flags before or after the command", () =>
      Effect.gen(function* () {
        for (const args of [
          ["config", "--port", "18080"],
          ["--port", "18080", "config"]
        ]) {
          const { status, stdout } = yield* run(...args)
          assert.strictEqual(status, 0)
          assert.include(stdout, "  port: 18080\n")
          assert.include(stdout, '  password: "<redacted>"\n')
        }
      })
    )

    it.effect("says a mistake in one line on stderr and exits 1", () =>
      Effect.gen(function* () {
        for (const [args, word] of [
          [["--port", "eighty"], "server.port"],
          [["--colour"], "--colour"],
          [["confg"], "config"],
          [["--set", "jwt.secret", "hunter2"], "unknown command"]
        ] as const) {
          const { status, stderr, stdout } = yield* run(...args)
          assert.strictEqual(status, 1)
          assert.strictEqual(stdout, "")
          assert.match(stderr, /^chat-service: [^\n]+\n$/)
          assert.include(stderr, word)
          assert.notInclude(stderr, "hunter2")
        }
      })
    )
  })
})
