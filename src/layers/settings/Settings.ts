import { Effect, Layer, Path, Redacted, Schema, SchemaIssue, String as Str } from "effect"
import {
  Settings,
  SettingsError,
  SettingsSchema,
  type SettingsShape,
  sections
} from "../../services/platform/Settings.ts"
import { Issuer, issuerKeyDescription, issuersNamedTwice } from "../../services/platform/settings/IssuerSettings.ts"
import { withSecrets } from "./IssuerSecrets.ts"
import { fromEnvironment, fromFile, fromFlags, type Given } from "./SettingsSources.ts"
import { makeDataDirectory, signingKey } from "./SigningKey.ts"

/** The sources of settings. Only the file that `config` names is read; each of `flags` is a `section.key=value`. */
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
  const [issue] = formatIssue(error.issue).issues
  const [section = "", key = "", ...inside] = issue?.path?.map((part) => Str.camelToSnake(String(part))) ?? []
  const name = `${section}.${key}`
  const { from } = given.get(name) ?? {}
  if (name === "auth.issuers" && (inside.length > 0 || issue?.message === issuersNamedTwice)) {
    const [, part] = inside
    const problem = part === undefined ? issue?.message : `must be ${issuerKeyDescription(part)}`
    return new SettingsError({ message: `${[name, ...inside].join(".")} (${from}) ${problem}; correct it` })
  }
  const schema = field(section, key)
  const expected = schema && Schema.resolveAnnotations(schema)?.description
  return new SettingsError({ message: `${name} (${from}) must be ${expected}; correct or remove it` })
}

// Unknown sections and keys were refused before; this refuses unknown keys of an issuer.
const decodeSettings = Schema.decodeUnknownEffect(SettingsSchema, { onExcessProperty: "error" })

/**
 * Loads all settings. Flags override the environment, which overrides the file, which overrides the defaults. The sections
 * `postgres`, `redis` and `nats` exist if any source sets one of their keys. `data.dir` becomes absolute.
 */
export const load = Effect.fn("Settings.load")(function* (input: SettingsInput) {
  const path = yield* Path.Path
  const stronger = [
    ...(yield* fromEnvironment(input.environment ?? process.env)),
    ...(yield* fromFlags(input.flags ?? []))
  ]
  const all = [...(input.config === undefined ? [] : yield* fromFile(input.config, stronger)), ...stronger]
  const given = new Map(all.map((one) => [one.key, one]))
  const tree: Record<string, Record<string, unknown>> = {}
  for (const { key, value } of given.values()) {
    const [section = "", name = ""] = key.split(".")
    tree[section] = { ...tree[section], [Str.snakeToCamel(name)]: value }
  }
  const settings = yield* decodeSettings(tree).pipe(Effect.mapError(wrongValue(given)))
  return { ...settings, auth: yield* withSecrets(settings), data: { dir: path.resolve(settings.data.dir) } }
})

/** The settings of this process, with its signing key, which is generated if `signingKey` allows that. */
export const layer = (input: SettingsInput) =>
  Layer.effect(
    Settings,
    Effect.gen(function* () {
      const settings = yield* load(input)
      if (settings.postgres === undefined) yield* makeDataDirectory(settings.data.dir)
      return { ...settings, jwt: { ...settings.jwt, secret: yield* signingKey(settings) } }
    })
  )

const withoutUserInfo = (value: string) => value.replace(/\/\/[^/@]*@/g, "//<redacted>@")

/** The same for a key that holds an address, which may have credentials without a scheme before them. */
const withoutCredentials = (value: string) => withoutUserInfo(value).replace(/(^|,)[^/,@]*@/g, "$1<redacted>@")

const encodeIssuers = Schema.encodeUnknownSync(Schema.Array(Issuer))
const hidden = { secret: "<redacted>" }

const presentable = (section: string, key: string, value: unknown): unknown => {
  if (Redacted.isRedacted(value)) return "<redacted>"
  if (key === "issuers") return encodeIssuers(value).map((issuer) => ({ ...issuer, ...("secret" in issuer && hidden) }))
  if (Array.isArray(value)) return value.map((item) => presentable(section, "", item))
  if (typeof value === "string") return key === "address" ? withoutCredentials(value) : withoutUserInfo(value)
  const schema = field(section, key)
  return schema === undefined ? value : Schema.encodeUnknownSync(schema)(value)
}

/** The settings as YAML in the form of a settings file. Secrets are replaced by `<redacted>`. */
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
