import { readFile } from "node:fs/promises"
import { Effect } from "effect"
import { SettingsError, type SettingsShape } from "../../services/platform/Settings.ts"

/** What TLS needs besides an address, as PEM. Without `ca`, the certificates of the system are trusted. */
export interface TlsFiles {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** Reads a file that the setting `key` names. Fails with one line that contains the key, and not the path. */
export const readSettingFile = (key: string, path: string) =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) => {
      const code = cause instanceof Error && "code" in cause ? cause.code : "unreadable"
      return new SettingsError({ message: `${key}: cannot read the file that it names: ${code}; correct the path` })
    }
  })

type Section = "redis" | "nats"

/**
 * The files for TLS that a section names; undefined if it has neither `tls: true` nor a file. Fails with one line that
 * names the key of a file that cannot be read.
 */
export const readTlsFiles = Effect.fnUntraced(function* (
  section: Section,
  settings: NonNullable<SettingsShape[Section]>
) {
  const { tls, tlsCaFile, tlsCertFile, tlsKeyFile } = settings
  const read = (key: string, path: string | undefined) =>
    path === undefined ? Effect.succeed(undefined) : readSettingFile(`${section}.${key}`, path)
  const ca = yield* read("tls_ca_file", tlsCaFile)
  const cert = yield* read("tls_cert_file", tlsCertFile)
  const key = yield* read("tls_key_file", tlsKeyFile)
  if (!tls && ca === undefined && cert === undefined && key === undefined) return undefined
  return {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key })
  } satisfies TlsFiles
})
