import { Schema } from "effect"
import { SessionId, Timestamp, type UserId } from "./Ids.ts"
import { Password, Text } from "./Text.ts"
import { Me } from "./User.ts"

/** One signed-in device. */
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

/** `login` is an e-mail address or a username. */
export const Login = Schema.Struct({ login: Text.check(Schema.isMaxLength(254)), password: Password }).annotate({
  identifier: "Login"
})
export type Login = typeof Login.Type

/** `expiresIn` is the life of the access token in seconds. */
export const Tokens = Schema.Struct({
  accessToken: Schema.String,
  expiresIn: Schema.Int,
  refreshToken: Schema.String,
  user: Me,
  sessionId: SessionId
}).annotate({ identifier: "Tokens" })
export type Tokens = typeof Tokens.Type

export const Refresh = Schema.Struct({ refreshToken: Schema.String }).annotate({ identifier: "Refresh" })

export const PasswordChange = Schema.Struct({ currentPassword: Password, newPassword: Password }).annotate({
  identifier: "PasswordChange"
})
export type PasswordChange = typeof PasswordChange.Type

/** Who is asking: what a verified access token says. `expiresAt` is in milliseconds since 1970. */
export interface Principal {
  readonly userId: UserId
  readonly sessionId: SessionId
  readonly expiresAt: number
}
