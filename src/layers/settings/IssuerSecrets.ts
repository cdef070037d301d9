import { Effect, FileSystem, Schema } from "effect"
import { SettingsError, type SettingsShape } from "../../services/platform/Settings.ts"
import { signingKey } from "../../services/platform/settings/SettingFields.ts"

const decodeSecret = Schema.decodeUnknownEffect(signingKey)

/**
 * The settings of `auth` with the secret of each issuer that keeps it in a file. Fails when such a file cannot be read or
 * its secret is too short, when an issuer is called like this service, and when it is not clear whose subjects the
 * external ids of the server API are.
 */
export const withSecrets = Effect.fn("Settings.issuerSecrets")(function* ({ auth, jwt }: SettingsShape) {
  const fs = yield* FileSystem.FileSystem
  const names = auth.issuers.map(({ issuer }) => issuer)
  if (names.includes(jwt.issuer)) {
    return yield* new SettingsError({
      message: "auth.issuers has the issuer that jwt.issuer names, which is this service; rename one of them"
    })
  }
  if (auth.serverIssuer === undefined ? names.length > 1 : !names.includes(auth.serverIssuer)) {
    return yield* new SettingsError({
      message:
        "auth.server_issuer must name the issuer in auth.issuers whose subjects the server API uses as external ids"
    })
  }
  const issuers = yield* Effect.forEach(
    auth.issuers,
    Effect.fnUntraced(function* ({ secretFile, ...issuer }, place) {
      if (secretFile === undefined) return issuer
      const name = `auth.issuers.${place}.secret_file`
      const content = yield* fs
        .readFileString(secretFile)
        .pipe(Effect.mapError(({ reason }) => new SettingsError({ message: `${name} cannot be read: ${reason._tag}` })))
      const secret = yield* Effect.mapError(
        decodeSecret(content.replace(/\r?\n$/, "")),
        () => new SettingsError({ message: `${name} must hold text of at least 32 bytes` })
      )
      return { ...issuer, secret }
    })
  )
  return { ...auth, issuers }
})
