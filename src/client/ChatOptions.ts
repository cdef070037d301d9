import { Credentials } from "./Credentials.ts"
import type { TokenSource } from "./credentials/External.ts"
import type { TokenStorage } from "./credentials/Holders.ts"
import type { Tokens } from "./Plain.ts"
import type { RealtimeOptions } from "./Realtime.ts"
import { storedTokens } from "./storage/StoredTokens.ts"

/** The client signs in with the tokens of a session of the service, and renews them. */
interface OwnTokens {
  /** The tokens from `login`, or the last ones given to `onRenewed`. */
  readonly tokens: Tokens
  /** Where the tokens are kept, so that several clients, also in several processes, can share one session. */
  readonly storage?: TokenStorage | undefined
  /** Receives each new pair before it is used: keep it in place of the old one. */
  readonly onRenewed?: ((tokens: Tokens) => void | Promise<void>) | undefined
  readonly token?: undefined
}

/** The client signs in with the tokens that an app gives to its own users. */
interface AppTokens {
  /** Gives the current token of the user, when the client starts and whenever that token expires or is refused. */
  readonly token: TokenSource
  readonly tokens?: undefined
}

/** The options of `Chat`: those of `Realtime`, and either `tokens` or `token`. */
export type ChatOptions = RealtimeOptions & {
  /** Logs what the connection does on the console: never a body or a token. */
  readonly debug?: boolean | undefined
} & (OwnTokens | AppTokens)

/** How the client of these options signs in. */
export const credentialsOf = (options: ChatOptions) => {
  const { database, url } = options
  if (options.token !== undefined) return Credentials.external({ url, token: options.token, database })
  const { onRenewed, tokens } = options
  const storage = options.storage ?? (database && storedTokens(database, tokens.user.id))
  return Credentials.layer({ url, tokens, storage, onRenewed })
}
