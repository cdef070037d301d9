import { credsAuthenticator } from "@nats-io/transport-node"
import { Effect, Redacted, Schema } from "effect"
import type { SettingsShape } from "../../services/platform/Settings.ts"
import { readSettingFile, readTlsFiles, type TlsFiles } from "../settings/TlsFiles.ts"

/**
 * NATS cannot be used. The message is one line that names the settings to check, without credentials. `temporary` says
 * that another attempt may succeed with the same settings.
 */
export class NatsError extends Schema.TaggedError<NatsError>()("NatsError", {
  message: Schema.String,
  temporary: Schema.Boolean
}) {}

/** The addresses of the servers and the credentials. */
export interface NatsAddress {
  /** Each is `host:port` without credentials, because these go into log lines. */
  readonly servers: ReadonlyArray<string>
  /** Servers without TLS are refused if this is there. A server that requires TLS gets it in any case. */
  readonly tls: TlsFiles | undefined
  /** The options of the client library for signing in. */
  readonly credentials:
    | { readonly user: string; readonly pass: string }
    | { readonly token: string }
    | { readonly authenticator: ReturnType<typeof credsAuthenticator> }
    | undefined
}

const wrong = (message: string) => new NatsError({ message, temporary: false })

const malformed = wrong(
  "nats.address must be one or more of nats://host:4222, nats://user:password@host:4222, nats://token@host:4222 (or tls://…), with commas between; correct it"
)

const userInfoOf = ({ password, username }: URL) => {
  if (username === "") return undefined
  if (password === "") return { token: decodeURIComponent(username) }
  return { user: decodeURIComponent(username), pass: decodeURIComponent(password) }
}

const urlOf = (server: string) => {
  // When settings are printed, passwords are only recognized in URLs with a scheme.
  if (!server.includes("://") && server.includes("@")) throw malformed
  const url = new URL(server.includes("://") ? server : `nats://${server}`)
  if (!/^(nats|tls):$/.test(url.protocol) || url.hostname === "" || !/^\/?$/.test(url.pathname)) throw malformed
  return url
}

/** Reads one or more servers, separated by commas, which must all have the same credentials. */
const parseServers = (address: string) =>
  Effect.try({
    try: () => {
      const urls = address
        .split(",")
        .map((server) => server.trim())
        .filter((server) => server !== "")
        .map(urlOf)
      const [first] = urls
      if (first === undefined) throw malformed
      return {
        servers: urls.map(({ hostname, port }) => `${hostname}:${port === "" ? 4222 : port}`),
        tls: urls.some(({ protocol }) => protocol === "tls:"),
        // Fails for a password with a `%` that does not begin an escape.
        userInfo: userInfoOf(first),
        users: new Set(urls.map(({ password, username }) => `${username}:${password}`)).size
      }
    },
    catch: () => malformed
  }).pipe(
    Effect.filterOrFail(
      ({ users }) => users === 1,
      () => wrong("nats.address: all its servers need the same user and password; correct it")
    )
  )

const readCredentials = Effect.fnUntraced(function* (path: string) {
  const content = yield* readSettingFile("nats.credentials_file", path)
  const authenticator = credsAuthenticator(new TextEncoder().encode(content))
  // The client library reads the content when it connects, and would take a mistake for an outage.
  yield* Effect.try({
    try: () => authenticator("a nonce"),
    catch: () =>
      wrong("nats.credentials_file: the file does not hold the JWT and the seed of a user of NATS; correct it")
  })
  return { authenticator }
})

/**
 * Reads the section `nats`: the servers of `nats.address`, and the credentials, which are in `nats.address`, in
 * `nats.username` and `nats.password`, or in the file that `nats.credentials_file` names. Fails with a line that names the
 * key to correct.
 */
export const readNatsAddress = Effect.fnUntraced(
  function* (settings: NonNullable<SettingsShape["nats"]>) {
    const { servers, tls, userInfo } = yield* parseServers(settings.address)
    const { credentialsFile, username } = settings
    const given = [userInfo, username, credentialsFile].filter((one) => one !== undefined)
    if (given.length > 1) {
      return yield* wrong(
        "nats.address with a user, nats.username and nats.credentials_file exclude each other; keep one of them"
      )
    }
    const pass = Redacted.value(settings.password)
    if (username === undefined && pass !== "") {
      return yield* wrong("nats.password needs nats.username; set both, or put a token into nats.address")
    }
    const signIn = username === undefined ? userInfo : { user: username, pass }
    return {
      servers,
      tls: (yield* readTlsFiles("nats", settings)) ?? (tls ? {} : undefined),
      credentials: credentialsFile === undefined ? signIn : yield* readCredentials(credentialsFile)
    } satisfies NatsAddress
  },
  Effect.catchTag("SettingsError", ({ message }) => wrong(message))
)
