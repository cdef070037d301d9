import { Schema } from "effect"
import { ServiceTokenId, UserId } from "./Ids.ts"
import { Name } from "./Text.ts"
import { Timestamp } from "./Time.ts"

/**
 * The scope of a service token: it may act as users, make and change users and groups of the application, administer
 * accounts, read the audit log, or make and revoke service tokens.
 */
export const ServiceScope = Schema.Literals(["act-as", "users", "conversations", "admin", "audit", "tokens"])
export type ServiceScope = typeof ServiceScope.Type

/**
 * A service token as it is listed; nobody can read the token itself again. `createdBy` is an actor of the audit log. The token
 * of a bot has no scopes.
 */
export const ServiceToken = Schema.Struct({
  id: ServiceTokenId,
  name: Schema.String,
  scopes: Schema.Array(Schema.String),
  botId: Schema.NullOr(UserId).annotate({ description: "The bot that signs in with the token" }),
  createdAt: Timestamp,
  createdBy: Schema.String,
  expiresAt: Schema.NullOr(Timestamp),
  lastUsedAt: Schema.NullOr(Timestamp).annotate({ description: "To the minute" })
}).annotate({ identifier: "ServiceToken" })
export type ServiceToken = typeof ServiceToken.Type

/** The longest lifetime of a service token that expires: ten years, in seconds. */
export const longestServiceToken = 10 * 366 * 24 * 3600

/** The token of a bot to make. One without `expiresInSeconds` is valid until it is revoked. */
export const NewBotToken = Schema.Struct({
  name: Name.check(Schema.isMaxLength(100)),
  expiresInSeconds: Schema.optionalKey(
    Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: longestServiceToken })))
  )
}).annotate({ identifier: "NewBotToken" })
export type NewBotToken = typeof NewBotToken.Type

/** A service token to make. One without `expiresInSeconds` is valid until it is revoked. */
export const NewServiceToken = Schema.Struct({
  ...NewBotToken.fields,
  scopes: Schema.Array(ServiceScope).check(Schema.isMinLength(1), Schema.isMaxLength(10))
}).annotate({ identifier: "NewServiceToken" })
export type NewServiceToken = typeof NewServiceToken.Type

/** A new service token, with the token itself, which is shown only this once. */
export const CreatedServiceToken = Schema.Struct({ ...ServiceToken.fields, token: Schema.String }).annotate({
  identifier: "CreatedServiceToken"
})
export type CreatedServiceToken = typeof CreatedServiceToken.Type

/** The caller, as a service token identifies them. `expiresAt` is in milliseconds since 1970; null is never. */
export interface ServicePrincipal {
  readonly tokenId: ServiceTokenId
  readonly scopes: ReadonlyArray<string>
  readonly expiresAt: number | null
}

/** A bot, as its token identifies it. */
export interface BotPrincipal extends Pick<ServicePrincipal, "tokenId" | "expiresAt"> {
  readonly botId: UserId
}
