import { Layer } from "effect"
import { AccessTokens } from "./AccessTokens.ts"
import { ExternalTokens } from "./issuers/ExternalTokens.ts"
import { Passwords } from "./Passwords.ts"
import * as Sessions from "./SessionsSql.ts"
import * as Users from "./UsersSql.ts"

/** The signing and verifying of tokens, and the hashing of passwords. */
export const layerCredentials = Layer.mergeAll(AccessTokens.layer, ExternalTokens.layer, Passwords.layer)

/** Users and sessions on PostgreSQL, on any credentials. */
export const layerNoDeps = Layer.merge(Users.layer, Sessions.layer)
