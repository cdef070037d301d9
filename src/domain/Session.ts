import { Schema } from "effect"
import { type ServiceTokenId, SessionId, type UserId } from "./Ids.ts"
import { Password, Text } from "./Text.ts"
import { Timestamp } from "./Time.ts"
import { Me } from "./User.ts"

/** A device on which the user is logged in. `current` marks the one that made the request. */
export const Session = Schema.Struct({
  id: SessionId,
  current: Schema.Boolean,
  userAgent: Schema.String,
  ip: Schema.String,
  createdAt: Timestamp,
  lastUsedAt: Timestamp,
  expiresAt: Timestamp
}).annotate({ identifier: "Session" })
export type Session = typeof Session.Type

/** The credentials of a user. `login` is an e-mail address or a username. */
export const Login = Schema.Struct({ login: Text.check(Schema.isMaxLength(254)), password: Password }).annotate({
  identifier: "Login"
})
export type Login = typeof Login.Type

/** The tokens of a new or renewed session. The access token expires in `expiresIn` seconds. */
export const Tokens = Schema.Struct({
  accessToken: Schema.String,
  expiresIn: Schema.Int,
  refreshToken: Schema.String,
  user: Me,
  sessionId: SessionId
}).annotate({ identifier: "Tokens" })
export type Tokens = typeof Tokens.Type

const tokenType = (name: string) => Schema.Literal(`urn:ietf:params:oauth:token-type:${name}`)

/** The external token to exchange for tokens of our own, in the words of RFC 8693. Its type is always a JWT. */
export const TokenExchange = Schema.Struct({
  grant_type: Schema.Literal("urn:ietf:params:oauth:grant-type:token-exchange"),
  subject_token: Text.check(Schema.isMaxLength(16_384)),
  subject_token_type: Schema.Union([tokenType("jwt"), tokenType("access_token"), tokenType("id_token")])
}).annotate({ identifier: "TokenExchange" })
export type TokenExchange = typeof TokenExchange.Type

/** The tokens of a session that began with an exchange, in the words of RFC 8693, with its user and its id. */
export const ExchangedTokens = Schema.Struct({
  access_token: Schema.String,
  issued_token_type: tokenType("access_token"),
  token_type: Schema.Literal("Bearer"),
  expires_in: Schema.Int,
  refresh_token: Schema.String,
  user: Me,
  sessionId: SessionId
}).annotate({ identifier: "ExchangedTokens" })

/** The refresh token to exchange for new tokens. */
export const Refresh = Schema.Struct({ refreshToken: Schema.String }).annotate({ identifier: "Refresh" })

/** A change of one's own password, which requires the current one. */
export const PasswordChange = Schema.Struct({ currentPassword: Password, newPassword: Password }).annotate({
  identifier: "PasswordChange"
})
export type PasswordChange = typeof PasswordChange.Type

/** A new password, and the token for it that an operator has made. */
export const PasswordResetUse = Schema.Struct({
  token: Text.check(Schema.isMaxLength(200)),
  newPassword: Password
}).annotate({
  identifier: "PasswordResetUse"
})
export type PasswordResetUse = typeof PasswordResetUse.Type

/** The caller, as a verified token identifies them. `expiresAt` is in milliseconds since 1970. */
export interface Principal {
  readonly userId: UserId
  /** The session. For a program that acts as the user it stands for the two of them, and is no session that is stored. */
  readonly sessionId: SessionId
  readonly expiresAt: number
  /** The service token of the program that acts as the user, or the token of a bot. */
  readonly serviceTokenId?: ServiceTokenId
  /** Whether the user is a bot that came with a token of its own. */
  readonly isBot?: true
}

/** The service token of the program that makes a call in the name of somebody else; undefined for the users themselves. */
export const programOf = ({ isBot, serviceTokenId }: Principal): ServiceTokenId | undefined =>
  isBot ? undefined : serviceTokenId

/** A public key for access tokens, as a JSON Web Key (RFC 7517, RFC 8037). */
export const PublicKey = Schema.Struct({
  kty: Schema.Literal("OKP"),
  crv: Schema.Literal("Ed25519"),
  x: Schema.String,
  kid: Schema.String,
  use: Schema.Literal("sig"),
  alg: Schema.Literal("EdDSA")
}).annotate({ identifier: "PublicKey" })
export type PublicKey = typeof PublicKey.Type
