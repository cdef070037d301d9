import { randomBytes } from "node:crypto"
import { Effect, FileSystem, Path, Redacted } from "effect"
import { SettingsError, type SettingsShape } from "../services/Settings.ts"

/** The key of the published `config.yaml`, which everybody can sign with. */
const publishedKey = "ASDWRTGHJKLQWERTYUIOPZXCVBNMASDFGHJKLQWERTYUIOPZXCVBNM"

const isPublished = (key: Redacted.Redacted<string>) => Redacted.value(key) === publishedKey

const isLocalhost = (origin: string) =>
  /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(origin).hostname)

const advice =
  "32 bytes or more, such as `openssl rand -base64 48` gives, in CHAT_JWT__SECRET or the file that CHAT_JWT__SECRET_FILE names"

const unusable = (directory: string) =>
  new SettingsError({
    message: `data.dir: cannot keep jwt.secret in ${directory}; make it writable or change data.dir`
  })

/** Reads the key of this data directory, after making it when there is none. Two first starts agree on one key. */
const kept = Effect.fn("Settings.keptSigningKey")(
  function* (directory: string) {
    const fs = yield* FileSystem.FileSystem
    const path = (yield* Path.Path).join(directory, "jwt.secret")
    if (!(yield* fs.exists(path))) {
      yield* fs.makeDirectory(directory, { recursive: true })
      const draft = `${path}.${randomBytes(8).toString("hex")}`
      yield* fs.writeFileString(draft, randomBytes(48).toString("base64url"), { mode: 0o600, flag: "wx" })
      // A link never replaces and is never half written: who comes second takes the key of who came first.
      yield* fs.link(draft, path).pipe(
        Effect.catchIf(
          ({ reason }) => reason._tag === "AlreadyExists",
          () => Effect.void
        )
      )
      yield* fs.remove(draft)
    }
    return (yield* fs.readFileString(path)).trim()
  },
  (effect, directory) => Effect.catchTag(effect, "PlatformError", () => unusable(directory))
)

/**
 * The key that signs access tokens: `jwt.secret`, or with embedded PostgreSQL one of its own, kept in `data.dir` (mode
 * 0600). Fails where the key is missing beside a PostgreSQL server, and where the published one would be reachable from
 * elsewhere.
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
  if (secret !== undefined) return secret
  if (settings.postgres !== undefined) {
    return yield* new SettingsError({ message: `jwt.secret is missing; set ${advice}` })
  }
  const key = yield* kept(settings.data.dir)
  if (Buffer.byteLength(key) < 32) {
    return yield* new SettingsError({
      message: `jwt.secret in ${settings.data.dir} has fewer than 32 bytes; delete that file for a new one`
    })
  }
  return Redacted.make(key)
})
