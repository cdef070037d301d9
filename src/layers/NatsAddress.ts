import { Effect, Schema } from "effect"

/** NATS cannot be used; the message is one line that names the keys to look at, and never holds a credential. */
export class NatsError extends Schema.TaggedError<NatsError>()("NatsError", { message: Schema.String }) {}

/** Where NATS is, and as whom to go there. */
export interface NatsAddress {
  /** `host:port`, without credentials: these go into log lines. */
  readonly servers: ReadonlyArray<string>
  /** Whether to refuse a server without TLS; one that asks for TLS gets it anyway. */
  readonly tls: boolean
  readonly credentials: { readonly user: string; readonly pass: string } | { readonly token: string } | undefined
}

const malformed = new NatsError({
  message:
    "nats.address must be one or more of nats://host:4222, nats://user:password@host:4222, nats://token@host:4222 (or tls://…), with commas between; correct it"
})

const credentialsOf = ({ password, username }: URL) => {
  if (username === "") return undefined
  if (password === "") return { token: decodeURIComponent(username) }
  return { user: decodeURIComponent(username), pass: decodeURIComponent(password) }
}

const urlOf = (server: string) => {
  // Without a scheme, what prints the settings would not see that there is a password in it.
  if (!server.includes("://") && server.includes("@")) throw malformed
  const url = new URL(server.includes("://") ? server : `nats://${server}`)
  if (!/^(nats|tls):$/.test(url.protocol) || url.hostname === "" || !/^\/?$/.test(url.pathname)) throw malformed
  return url
}

/** Reads `nats.address`: one server or several, with commas between; all with the same credentials. */
export const parseNatsAddress = (address: string): Effect.Effect<NatsAddress, NatsError> =>
  Effect.try({
    try: () =>
      address
        .split(",")
        .map((server) => server.trim())
        .filter((server) => server !== "")
        .map(urlOf),
    catch: () => malformed
  }).pipe(
    Effect.filterOrFail(
      (urls) => urls.length > 0,
      () => malformed
    ),
    Effect.filterOrFail(
      (urls) => new Set(urls.map(({ password, username }) => `${username}:${password}`)).size === 1,
      () => new NatsError({ message: "nats.address: all its servers need the same user and password; correct it" })
    ),
    Effect.flatMap((urls) =>
      Effect.try({
        try: () => ({
          servers: urls.map(({ hostname, port }) => `${hostname}:${port === "" ? 4222 : port}`),
          tls: urls.some(({ protocol }) => protocol === "tls:"),
          credentials: urls[0] && credentialsOf(urls[0])
        }),
        // A lonely % in a password.
        catch: () => malformed
      })
    )
  )
