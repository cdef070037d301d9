import { Effect, Layer, Path, Redacted, Schema, SchemaIssue, String as Str } from "effect"
import { Settings, SettingsError, SettingsSchema, type SettingsShape, sections } from "../services/Settings.ts"
import { fromEnvironment, fromFile, fromFlags, type Given } from "./SettingsSources.ts"
import { signingKey } from "./SigningKey.ts"

/** Where settings come from. No file is read unless `config` names one; `flags` are `section.key=value`. */
export interface SettingsInput {
  readonly config?: string | undefined
  readonly flags?: ReadonlyArray<string> | undefined
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined
}

const field = (section: string, key: string) =>
  Object.entries(sections)
    .filter(([name]) => name === section)
    .flatMap(([, { fields }]) => Object.entries<Schema.ConstraintCodec<unknown, unknown>>(fields))
    .find(([name]) => name === Str.snakeToCamel(key))?.[1]

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

const wrongValue = (given: ReadonlyMap<string, Given>) => (error: Schema.SchemaError) => {
  const [section, key] = formatIssue(error.issue).issues[0]?.path?.map(String) ?? []
  const name = `${section}.${Str.camelToSnake(key ?? "")}`
  const schema = field(section ?? "", key ?? "")
  const expected = schema && Schema.resolveAnnotations(schema)?.description
  return new SettingsError({
    message: `${name} (${given.get(name)?.from}) must be ${expected}; correct or remove it`
  })
}

/**
 * All settings: the defaults, below the file, below the environment, below the flags. A section `postgres`, `redis` or
 * `nats` exists when any of its keys is set anywhere. `data.dir` becomes absolute.
 */
export const load = Effect.fn("Settings.load")(function* (input: SettingsInput) {
  const path = yield* Path.Path
  const all = [
    ...(input.config === undefined ? [] : yield* fromFile(input.config)),
    ...(yield* fromEnvironment(input.environment ?? process.env)),
    ...(yield* fromFlags(input.flags ?? []))
  ]
  const given = new Map(all.map((one) => [one.key, one]))
  const tree: Record<string, Record<string, unknown>> = {}
  for (const { key, value } of given.values()) {
    const [section = "", name = ""] = key.split(".")
    tree[section] = { ...tree[section], [Str.snakeToCamel(name)]: value }
  }
  const settings = yield* Schema.decodeUnknownEffect(SettingsSchema)(tree).pipe(Effect.mapError(wrongValue(given)))
  return { ...settings, data: { dir: path.resolve(settings.data.dir) } }
})

/** The settings of this process with its signing key, which is made and kept in `data.dir` where that is allowed. */
export const layer = (input: SettingsInput) =>
  Layer.effect(
    Settings,
    Effect.gen(function* () {
      const settings = yield* load(input)
      return { ...settings, jwt: { ...settings.jwt, secret: yield* signingKey(settings) } }
    })
  )

const withoutUserInfo = (value: string) => value.replace(/\/\/[^/@]*@/g, "//<redacted>@")

const presentable = (section: string, key: string, value: unknown): unknown => {
  if (Redacted.isRedacted(value)) return "<redacted>"
  if (Array.isArray(value)) return value.map((item) => presentable(section, "", item))
  if (typeof value === "string") return withoutUserInfo(value)
  const schema = field(section, key)
  return schema === undefined ? value : Schema.encodeUnknownSync(schema)(value)
}

/** The settings as YAML that could be read again, but for the secrets, which are replaced. */
export const toYaml = (settings: SettingsShape): string =>
  Object.entries(settings)
    .map(([section, body]) =>
      [
        `${section}:`,
        ...Object.entries<unknown>(body).map(
          ([key, value]) => `  ${Str.camelToSnake(key)}: ${JSON.stringify(presentable(section, key, value))}`
        )
      ].join("\n")
    )
    .join("\n")
