import { Console, Effect, FileSystem, Predicate, String as Str } from "effect"
import * as Yaml from "effect/encoding/Yaml"
import { SettingsError, sections } from "../../services/platform/Settings.ts"
import { invocation } from "./Invocation.ts"

/** A setting from a source. `key` is `section.key` in snake_case, and `from` describes the source in error messages. */
export interface Given {
  readonly key: string
  readonly value: unknown
  readonly from: string
}

/** The keys of each section, in snake_case. */
const keysOf = new Map(
  Object.entries(sections).map(([section, { fields }]) => [section, Object.keys(fields).map(Str.camelToSnake)])
)

const environmentNames = new Map(
  [...keysOf].flatMap(([section, keys]) =>
    keys.map((key) => [`CHAT_${section}__${key}`.toUpperCase(), `${section}.${key}`] as const)
  )
)

const unknownSection = (section: string, from: string) =>
  new SettingsError({
    message: `unknown section ${section} (${from}); the sections are ${[...keysOf.keys()].join(", ")}`
  })

const unknownKey = (section: string, key: string, from: string) => {
  const keys = keysOf.get(section)
  if (keys === undefined) return unknownSection(section, from)
  if (keys.includes(key)) return undefined
  return new SettingsError({
    message: `unknown setting ${section}.${key} (${from}); the keys of ${section} are ${keys.join(", ")}`
  })
}

/** The message of a parser without quotations from the file, because those may contain a secret. */
const withoutQuotes = (message: string) =>
  message.startsWith("Duplicate key") ? message : message.replace(/'.*'/g, "a word")

/** Without one of these sections the service does the work of the server itself, so that an empty one is a mistake. */
const servers = ["postgres", "redis", "nats", "s3"]

/**
 * Reads the settings of a YAML file, which has sections with keys. Unknown sections and keys are errors, and so is an
 * empty section of a server, unless `elsewhere` has one of its keys.
 */
export const fromFile = Effect.fn("Settings.fromFile")(function* (path: string, elsewhere: ReadonlyArray<Given> = []) {
  const fs = yield* FileSystem.FileSystem
  const from = `in ${path}`
  const source = yield* fs
    .readFileString(path)
    .pipe(
      Effect.mapError(
        ({ reason }) =>
          new SettingsError({ message: `cannot read the settings file ${path}: ${reason._tag}; correct --config` })
      )
    )
  const document = yield* Effect.try({
    try: () => Yaml.parse(source),
    catch: (error) =>
      new SettingsError({
        message: `${path} is not valid YAML: ${error instanceof Error ? withoutQuotes(error.message) : "unreadable"}`
      })
  })
  if (document === null || document === undefined) return []
  if (!Predicate.isObject(document))
    return yield* new SettingsError({ message: `${path} must hold sections with keys` })
  const given: Array<Given> = []
  for (const [section, body] of Object.entries(document)) {
    if (!keysOf.has(section)) return yield* unknownSection(section, from)
    const isEmpty = body === null || (Predicate.isObject(body) && Object.keys(body).length === 0)
    if (isEmpty && servers.includes(section) && !elsewhere.some(({ key }) => key.startsWith(`${section}.`))) {
      return yield* new SettingsError({
        message: `${section} (${from}) is an empty section: write its keys, such as ${keysOf.get(section)?.[0]}, or remove the section to do without the server`
      })
    }
    if (body === null) continue
    if (!Predicate.isObject(body)) {
      return yield* new SettingsError({ message: `${section} (${from}) must be a section with keys below it` })
    }
    for (const [key, value] of Object.entries(body)) {
      const unknown = unknownKey(section, key, from)
      if (unknown) return yield* unknown
      given.push({ key: `${section}.${key}`, value, from })
    }
  }
  return given
})

/** The variables that Kubernetes gives every container for each of its services, such as one with the name `chat-service`. */
const fromKubernetes = (name: string, value: string) =>
  /^CHAT_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$/.test(name) ||
  (/^CHAT_(\w+_)?PORT$/.test(name) && /^(tcp|udp|sctp):\/\//.test(value))

/** A variable of the client at the command line, `npm run chat`. */
const ofTheClient = "CHAT_URL"

/**
 * Reads the settings from variables that begin with `CHAT_`. A variable that ends in `_FILE` names a file that contains
 * the value. Variables of Kubernetes are ignored, with one line on stderr.
 */
export const fromEnvironment = Effect.fn("Settings.fromEnvironment")(function* (
  environment: Readonly<Record<string, string | undefined>>
) {
  const fs = yield* FileSystem.FileSystem
  const given: Array<Given> = []
  const ignored: Array<string> = []
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith("CHAT_") || value === undefined || name === ofTheClient) continue
    const from = `from the environment, ${name}`
    const key = environmentNames.get(name)
    if (key !== undefined) {
      given.push({ key, value, from })
      continue
    }
    const base = name.replace(/_FILE$/, "")
    const fileKey = environmentNames.get(base)
    if (fileKey === undefined && fromKubernetes(name, value)) {
      ignored.push(name)
      continue
    }
    if (fileKey === undefined || base === name) {
      return yield* new SettingsError({
        message: `unknown setting ${name} (from the environment); expected CHAT_<SECTION>__<KEY>, such as CHAT_SERVER__PORT, of a key that ${invocation} config shows`
      })
    }
    if (environment[base] !== undefined) {
      return yield* new SettingsError({ message: `both ${base} and ${name} are set; keep one of them` })
    }
    // The message does not contain the path, because it may be a secret that was put here by mistake.
    const content = yield* fs
      .readFileString(value)
      .pipe(
        Effect.mapError(
          ({ reason }) =>
            new SettingsError({ message: `${fileKey}: cannot read the file that ${name} names: ${reason._tag}` })
        )
      )
    given.push({ key: fileKey, value: content.replace(/\r?\n$/, ""), from })
  }
  if (ignored.length > 0) {
    yield* Console.error(`chat-service: ignored variables of Kubernetes, which are no settings: ${ignored.join(", ")}`)
  }
  return given
})

/** Reads the settings of the command line, each as `section.key=value`. */
export const fromFlags = Effect.fn("Settings.fromFlags")(function* (flags: ReadonlyArray<string>) {
  const given: Array<Given> = []
  for (const flag of flags) {
    const [, section, key, value] = /^(\w+)\.(\w+)=(.*)$/s.exec(flag) ?? []
    if (section === undefined || key === undefined || value === undefined) {
      return yield* new SettingsError({ message: "--set must be section.key=value, such as --set server.port=8081" })
    }
    const from = "from the command line"
    const unknown = unknownKey(section, key, from)
    if (unknown) return yield* unknown
    given.push({ key: `${section}.${key}`, value, from })
  }
  return given
})
