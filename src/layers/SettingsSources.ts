import { Effect, FileSystem, String as Str } from "effect"
import * as Yaml from "effect/encoding/Yaml"
import { SettingsError, sections } from "../services/Settings.ts"

/** One setting as a source gave it: `key` is `section.key` in snake_case, `from` says where it came from. */
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

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A parser's message may quote a part of the file, and that part may be a secret. */
const withoutQuotes = (message: string) =>
  message.startsWith("Duplicate key") ? message : message.replace(/'.*'/g, "a word")

/** The settings of a YAML file, as `section: key: value`. */
export const fromFile = Effect.fn("Settings.fromFile")(function* (path: string) {
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
  if (!isRecord(document)) return yield* new SettingsError({ message: `${path} must hold sections with keys` })
  const given: Array<Given> = []
  for (const [section, body] of Object.entries(document)) {
    if (!keysOf.has(section)) return yield* unknownSection(section, from)
    if (body === null) continue
    if (!isRecord(body)) {
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

/** The settings of the variables that begin with `CHAT_`; one that ends in `_FILE` names a file with the value. */
export const fromEnvironment = Effect.fn("Settings.fromEnvironment")(function* (
  environment: Readonly<Record<string, string | undefined>>
) {
  const fs = yield* FileSystem.FileSystem
  const given: Array<Given> = []
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith("CHAT_") || value === undefined) continue
    const from = `from the environment, ${name}`
    const key = environmentNames.get(name)
    if (key !== undefined) {
      given.push({ key, value, from })
      continue
    }
    const base = name.replace(/_FILE$/, "")
    const fileKey = environmentNames.get(base)
    if (fileKey === undefined || base === name) {
      return yield* new SettingsError({
        message: `unknown setting ${name} (from the environment); expected CHAT_<SECTION>__<KEY>, such as CHAT_SERVER__PORT, of a key that npm start -- config shows`
      })
    }
    if (environment[base] !== undefined) {
      return yield* new SettingsError({ message: `both ${base} and ${name} are set; keep one of them` })
    }
    // The path stays out of the message: a secret put here by mistake would be printed.
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
  return given
})

/** The settings of the command line, as `section.key=value`. */
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
