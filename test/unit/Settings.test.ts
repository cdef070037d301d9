import { spawnSync } from "node:child_process"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Path, Redacted } from "effect"
import { TestConsole } from "effect/testing"
import { load, type SettingsInput, layer as settingsLayer, toYaml } from "../../src/layers/settings/Settings.ts"
import { Settings } from "../../src/services/platform/Settings.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"

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
          allowedOrigins: ["http://localhost:8080"],
          maxConnections: 50_000,
          maxRequestsPerSocket: 1000,
          web: true
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

    it.effect("have issuers of tokens, as YAML or as JSON, with their secrets from files", () =>
      Effect.gen(function* () {
        const secret = "a secret of an app, which has 32 bytes or more"
        const name = yield* file(`${secret}\n`)
        const yaml = yield* readFile(
          `auth:\n  issuers:\n    - { issuer: "https://a", audience: chat, secret_file: ${name}, max_lifetime: 1 hour }\n`
        )
        const [shared] = yaml.auth.issuers
        assert.deepInclude(shared, { issuer: "https://a", maxLifetime: 3_600_000, provision: "create" })
        assert.strictEqual(shared?.secret && Redacted.value(shared.secret), secret)
        assert.notInclude(toYaml(yaml), secret)
        const issuer = { issuer: "https://a", audience: "chat", jwks_uri: "https://a/jwks" }
        const json = (...issuers: ReadonlyArray<object>) =>
          read({ environment: { CHAT_AUTH__ISSUERS: JSON.stringify(issuers) } })
        assert.deepInclude((yield* json(issuer)).auth.issuers[0], { jwksUri: "https://a/jwks" })
        const key = { kty: "EC", crv: "P-256", x: "x", y: "y", d: "private" }
        yield* assertLine(
          json({ ...issuer, jwks_uri: "a/jwks" }),
          "auth.issuers.0.jwks_uri",
          "CHAT_AUTH__ISSUERS",
          "URL"
        )
        yield* assertLine(json({ ...issuer, jwksuri: "" }), "auth.issuers.0.jwksuri", "jwks_uri")
        yield* assertLine(json({ issuer: "https://a", audience: "chat" }), "jwks_uri, keys, secret and secret_file")
        yield* assertLine(json({ ...issuer, algorithms: ["HS256"] }), "auth.issuers.0", "HS256")
        yield* assertLine(json({ issuer: "https://a", audience: "chat", keys: [key] }), "auth.issuers.0.keys.0.d")
        yield* assertLine(json(issuer, issuer), "auth.issuers", "once")
        yield* assertLine(json(issuer, { ...issuer, issuer: "https://b" }), "auth.server_issuer")
        yield* assertLine(json({ ...issuer, issuer: "chat_socio" }), "jwt.issuer")
      })
    )

    it.effect("name one PostgreSQL or several", () =>
      Effect.gen(function* () {
        const host = (value: string) =>
          Effect.map(read({ flags: [`postgres.host=${value}`] }), ({ postgres }) => postgres?.host)
        for (const one of ["db", "db_1.example.com:5433", "10.0.0.1", "::1", "[fe80::1]:5432", "/run/postgresql"]) {
          assert.strictEqual(yield* host(one), one)
        }
        assert.deepStrictEqual(yield* host("db1, db2:5433"), ["db1", "db2:5433"])
        const { postgres } = yield* readFile("postgres:\n  host: [db1, '[::1]']\n  pooler: true\n  direct_host: db3\n")
        assert.deepStrictEqual(postgres?.host, ["db1", "[::1]"])
        assert.deepStrictEqual([postgres?.pooler, postgres?.directHost], [true, "db3"])
      })
    )

    it.effect("may fill a section that is empty in the file", () =>
      Effect.gen(function* () {
        const { postgres } = yield* read({ config: yield* file("postgres:\n"), flags: ["postgres.host=db"] })
        assert.strictEqual(postgres?.host, "db")
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
          config: yield* file("limits:\n"),
          environment: { CHAT_POSTGRES__HOST: "db" },
          flags: ["nats.address=nats://bus:4222"]
        })
        assert.strictEqual(settings.postgres?.host, "db")
        assert.strictEqual(settings.postgres?.port, 5432)
        assert.include(settings.nats, { address: "nats://bus:4222", prefix: "chat", tls: false })
        assert.isUndefined(settings.redis)
      })
    )

    it.effect("ignore what Kubernetes sets, with one line, and the variable of the client", () =>
      Effect.gen(function* () {
        const settings = yield* read({
          environment: {
            CHAT_PORT: "tcp://10.0.0.1:8080",
            CHAT_SERVICE_HOST: "10.0.0.1",
            CHAT_SERVICE_PORT: "tcp://10.0.0.1:8080",
            CHAT_SERVICE_SERVICE_HOST: "10.0.0.1",
            CHAT_SERVICE_SERVICE_PORT: "8080",
            CHAT_SERVICE_SERVICE_PORT_HTTP: "8080",
            CHAT_SERVICE_PORT_8080_TCP: "tcp://10.0.0.1:8080",
            CHAT_SERVICE_PORT_8080_TCP_ADDR: "10.0.0.1",
            CHAT_POSTGRES_PORT: "tcp://10.0.0.2:5432",
            CHAT_URL: "http://localhost:8080"
          }
        })
        assert.deepStrictEqual(settings, yield* read({}))
        const lines = (yield* TestConsole.errorLines).map(String)
        assert.lengthOf(lines, 1)
        assert.match(
          String(lines[0]),
          /^chat-service: ignored variables of Kubernetes.*CHAT_SERVICE_PORT_8080_TCP_ADDR/
        )
        assert.notInclude(lines[0], "CHAT_URL")
        yield* assertLine(read({ environment: { CHAT_SERVER_PORT: "8080" } }), "CHAT_SERVER_PORT")
      }).pipe(Effect.provide(TestConsole.layer))
    )

    it.effect("accept origins of sites, of all hosts below a domain, and of apps", () =>
      Effect.gen(function* () {
        const { server } = yield* readFile(
          'server:\n  allowed_origins: ["https://*.Example.com", "https://a.example.com:443/", "capacitor://localhost", "tauri://localhost", "http://localhost:5173"]\n'
        )
        assert.deepStrictEqual(server.allowedOrigins, [
          "https://*.example.com",
          "https://a.example.com",
          "capacitor://localhost",
          "tauri://localhost",
          "http://localhost:5173"
        ])
        for (const wrong of [
          "*",
          "null",
          "https://*",
          "https://*.*.com",
          "https://a*.com",
          "file:///x",
          "example.com"
        ]) {
          const list = JSON.stringify([wrong])
          yield* assertLine(readFile(`server:\n  allowed_origins: ${list}\n`), "server.allowed_origins", "https://*.")
        }
        yield* assertLine(readFile('server:\n  origin: "https://*.example.com"\n'), "server.origin")
      })
    )

    it.effect("accept lists, booleans and durations as text", () =>
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
      ["postgres:\n", ["postgres", "empty", "host"]],
      ["redis: {}\n", ["redis", "empty", "host"]],
      ["nats:\n", ["nats", "empty", "address"]],
      ["postgres:\n  host:\n", ["postgres.host", "a host name"]],
      ["postgres:\n  host: postgres://db/chat\n", ["postgres.host", "not a URL"]],
      ["postgres:\n  host: ','\n", ["postgres.host", "a host name"]],
      ["- server\n", ["sections"]],
      ["server:\n  port: 1\n  port: 2\n", ["not valid YAML", "'port' at line 3"]],
      ["logging:\n  level: loud\n", ["logging.level", "debug, info, warn, error"]],
      ["limits:\n  password_length: 9-3\n", ["limits.password_length", '"3-32"']],
      ["timers:\n  hello: 0\n", ["timers.hello", "seconds"]],
      ["timers:\n  repair: 9999999\n", ["timers.repair", "2147483"]],
      ["tracing:\n  sample_rate: 2\n", ["tracing.sample_rate", "from 0 to 1"]],
      ["auth:\n  reset_url: https://app.example.com/reset\n", ["auth.reset_url", "{token}"]]
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
      "postgres:\n  password: a: hunter2\n",
      "postgres:\n  host: postgres://me:hunter2@db:5432/chat\n",
      "postgres:\n  host: me:hunter2@db\n",
      "postgres:\n  host: [db1, 'postgres://me:hunter2@db2']\n",
      "redis:\n  host: redis://:hunter2@cache:6379\n",
      "redis:\n  host: :hunter2@cache\n",
      "server:\n  host: http://me:hunter2@0.0.0.0\n"
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
        for (const address of ["me:hunter2@bus", "nats://a,hunter2@bus", "nats://hunter2@a,nats://me:hunter2@b"]) {
          assert.notInclude(toYaml(yield* read({ environment: { CHAT_NATS__ADDRESS: address } })), "hunter2")
        }
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
        // There, Node's recursive `mkdir` never ends.
        yield* assertLine(started({ flags: ["data.dir=/proc/x/y"] }), "data.dir", "writable")
        const key = `jwt.secret=${"x".repeat(32)}`
        yield* assertLine(started({ flags: ["data.dir=/proc/x", key] }), "data.dir", "writable")
      })
    )

    it.effect("must be given beside a PostgreSQL server", () =>
      assertLine(started({ flags: ["postgres.host=db"] }), "jwt.secret is missing", "CHAT_JWT__SECRET")
    )

    it.effect("must not be easy to guess, and the generated one must not be readable by everybody", () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        for (const easy of ["a".repeat(32), "ab".repeat(40), "abcdefg".repeat(10)]) {
          yield* assertLine(started({ flags: [`jwt.secret=${easy}`] }), "jwt.secret", "different characters")
          const flags = ["jwt.secret=0123456789abcdef0123456789abcdef", `jwt.previous_secrets=${easy}`]
          yield* assertLine(started({ flags }), "jwt.previous_secrets", "different characters")
        }
        const dir = yield* fs.makeTempDirectoryScoped()
        yield* started({ flags: [`data.dir=${dir}`] })
        for (const mode of [0o644, 0o604, 0o602]) {
          yield* fs.chmod(`${dir}/jwt.secret`, mode)
          yield* assertLine(started({ flags: [`data.dir=${dir}`] }), "jwt.secret", "chmod 600")
        }
        yield* fs.chmod(`${dir}/jwt.secret`, 0o640)
        yield* started({ flags: [`data.dir=${dir}`] })
      })
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
      }).pipe(Effect.provide(Layer.fresh(SettingsMemory.layerMemory({ timers: { hello: 5 }, nats: {} }))))
    )
  })

  describe("the command line", () => {
    const run = (...args: ReadonlyArray<string>) =>
      Effect.sync(() => {
        const env = { PATH: process.env.PATH, CHAT_POSTGRES__PASSWORD: "hunter2" }
        return spawnSync(process.execPath, ["test/support/commandLineMain.ts", ...args], { encoding: "utf8", env })
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

    it.effect("reports a mistake in one line on stderr and exits with 1", () =>
      Effect.gen(function* () {
        for (const [args, word] of [
          [["--port", "eighty"], "server.port"],
          [["--colour"], "--colour; npm start -- --help lists"],
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
