import { randomBytes } from "node:crypto"
import { Effect, FileSystem, Path, Redacted } from "effect"
import { SettingsError, type SettingsShape } from "../../services/platform/Settings.ts"
import { fewestKeyBytes } from "../../services/platform/settings/SettingFields.ts"

/** The key in the published `config.yaml`. Anybody can sign tokens with it. */
const publishedKey = "ASDWRTGHJKLQWERTYUIOPZXCVBNMASDFGHJKLQWERTYUIOPZXCVBNM"

/** Whether it is the key in the published `config.yaml`, with which anybody can sign tokens. */
export const isPublished = (key: Redacted.Redacted<string>) => Redacted.value(key) === publishedKey

/** A random key of 32 bytes has many more, in every encoding. */
const fewestCharacters = 8

/** Whether it is long enough but easy to guess, as 32 equal letters are. */
const isMonotonous = (key: Redacted.Redacted<string>) => new Set(Redacted.value(key)).size < fewestCharacters

const isLocalhost = (origin: string) =>
  /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(origin).hostname)

const advice =
  "32 bytes or more, such as `openssl rand -base64 48` gives, in CHAT_JWT__SECRET or the file that CHAT_JWT__SECRET_FILE names"

const unusable = (directory: string) =>
  new SettingsError({
    message: `data.dir: cannot keep jwt.secret in ${directory}; make it writable or change data.dir`
  })

/**
 * Creates the directory and its missing parents. Repeating it is safe. Node's own way to create parents never ends where a
 * file system refuses new directories with "not found", as /proc does.
 */
export const makeDataDirectory = Effect.fn("Settings.makeDataDirectory")(
  function* (directory: string) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const missing: Array<string> = []
    for (let at = directory; !(yield* fs.exists(at)); at = path.dirname(at)) missing.unshift(at)
    for (const each of missing) {
      yield* fs.makeDirectory(each).pipe(
        Effect.catchIf(
          ({ reason }) => reason._tag === "AlreadyExists",
          () => Effect.void
        )
      )
    }
  },
  (effect, directory) => Effect.catchTag(effect, "PlatformError", () => unusable(directory))
)

/** Reads the key of this data directory, or creates it if there is none. Two concurrent first starts agree on one key. */
const kept = Effect.fn("Settings.keptSigningKey")(
  function* (directory: string) {
    const fs = yield* FileSystem.FileSystem
    const path = (yield* Path.Path).join(directory, "jwt.secret")
    if (!(yield* fs.exists(path))) {
      yield* makeDataDirectory(directory)
      const draft = `${path}.${randomBytes(8).toString("hex")}`
      yield* fs.writeFileString(draft, randomBytes(48).toString("base64url"), { mode: 0o600, flag: "wx" })
      // A hard link never replaces a file and is never half written, so the second of two starts uses the key of the first.
      yield* fs.link(draft, path).pipe(
        Effect.catchIf(
          ({ reason }) => reason._tag === "AlreadyExists",
          () => Effect.void
        )
      )
      yield* fs.remove(draft)
    }
    const { mode } = yield* fs.stat(path)
    if ((mode & 0o007) !== 0) {
      return yield* new SettingsError({
        message: `jwt.secret in ${directory} can be read by every user of this machine; run chmod 600 on that file, or delete it for a new key`
      })
    }
    return (yield* fs.readFileString(path)).trim()
  },
  (effect, directory) => Effect.catchTag(effect, "PlatformError", () => unusable(directory))
)

/**
 * The key that signs access tokens: `jwt.secret`, or with embedded PostgreSQL a generated key that is kept in `data.dir`
 * with mode 0600. Fails if the settings name a PostgreSQL server but no key, if the published sample key is used with an
 * origin other than localhost, if a key is easy to guess, and if every user of the machine can read the generated one.
 */
export const signingKey = Effect.fn("Settings.signingKey")(function* (settings: SettingsShape) {
  const { previousSecrets, secret } = settings.jwt
  const local = isLocalhost(settings.server.origin)
  if (!local && previousSecrets.some(isPublished)) {
    return yield* new SettingsError({ message: "jwt.previous_secrets holds the published sample key; remove it" })
  }
  if (secret !== undefined && isPublished(secret) && !local) {
    return yield* new SettingsError({
      message: `jwt.secret is the published sample key, and server.origin is not a localhost one; set ${advice}`
    })
  }
  for (const [name, keys] of [
    ["jwt.secret", secret === undefined ? [] : [secret]],
    ["jwt.previous_secrets", previousSecrets]
  ] as const) {
    if (keys.some(isMonotonous)) {
      return yield* new SettingsError({
        message: `${name} must have at least ${fewestCharacters} different characters; set ${advice}`
      })
    }
  }
  if (secret !== undefined) return secret
  if (settings.postgres !== undefined) {
    return yield* new SettingsError({ message: `jwt.secret is missing; set ${advice}` })
  }
  const key = yield* kept(settings.data.dir)
  if (Buffer.byteLength(key) < fewestKeyBytes) {
    return yield* new SettingsError({
      message: `jwt.secret in ${settings.data.dir} has fewer than ${fewestKeyBytes} bytes; delete that file for a new one`
    })
  }
  return Redacted.make(key)
})
