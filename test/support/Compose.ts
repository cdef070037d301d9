import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Schema } from "effect"
import * as Yaml from "effect/encoding/Yaml"

/** The directory of the repository. */
export const root = fileURLToPath(new URL("../..", import.meta.url))

/** `docker-compose.yml` as it is written. */
export const document: unknown = Yaml.parse(readFileSync(`${root}docker-compose.yml`, "utf8"))

const Condition = Schema.Struct({ condition: Schema.Literals(["service_healthy", "service_started"]) })

const Service = Schema.Struct({
  image: Schema.String,
  build: Schema.optionalKey(Schema.String),
  init: Schema.optionalKey(Schema.Boolean),
  read_only: Schema.optionalKey(Schema.Boolean),
  depends_on: Schema.optionalKey(Schema.Record(Schema.String, Condition)),
  profiles: Schema.optionalKey(Schema.Array(Schema.String)),
  command: Schema.optionalKey(Schema.Array(Schema.String)),
  environment: Schema.optionalKey(Schema.Record(Schema.String, Schema.NullOr(Schema.String))),
  ports: Schema.optionalKey(Schema.Array(Schema.String)),
  volumes: Schema.optionalKey(Schema.Array(Schema.String)),
  logging: Schema.Struct({ options: Schema.Record(Schema.String, Schema.String) }),
  healthcheck: Schema.Struct({ test: Schema.Array(Schema.String) })
})

/** The parts that the tests look at. */
export const compose = Schema.decodeUnknownSync(
  Schema.Struct({
    services: Schema.Record(Schema.String, Service),
    volumes: Schema.Record(Schema.String, Schema.Unknown)
  })
)(document)

/** A text in which no variable is set: `${NAME:-default}` is its default. */
export const withDefaults = (text: string) => text.replace(/\$\{\w+:-([^}]*)\}/g, "$1")

/**
 * The environment of a service when no variable is set: `${NAME:-default}` is its default, and a variable without a value
 * is not there.
 */
export const environmentOf = (name: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries(compose.services[name]?.environment ?? {}).flatMap(([key, value]) =>
      value === null ? [] : [[key, withDefaults(value)]]
    )
  )
