import { Schema } from "effect"
import { Account } from "./Account.ts"
import { ExternalId } from "./ExternalId.ts"
import { SessionId } from "./Ids.ts"
import { Url } from "./Url.ts"
import { DisplayName, Email, Team, Username } from "./User.ts"

/** A user as the application knows them: the account here, and the id there. */
export const ServerUser = Schema.Struct({ externalId: ExternalId, ...Account.fields }).annotate({
  identifier: "ServerUser"
})
export type ServerUser = typeof ServerUser.Type

/** The profile that the application gives a user. What is left out stays as it is. */
export const ServerProfile = Schema.Struct({
  username: Schema.optionalKey(Username).annotate({
    description: "The wish for a new user; if it is taken, some characters are added. It changes no existing username"
  }),
  displayName: Schema.optionalKey(DisplayName),
  avatarUrl: Schema.optionalKey(Schema.NullOr(Url)),
  email: Schema.optionalKey(Email).annotate({
    description: "It is shown to the user alone. Nobody can log in with it"
  }),
  team: Schema.optionalKey(Schema.NullOr(Team)).annotate({
    description: "Users of different teams do not find each other; null takes the user out of any team"
  }),
  kind: Schema.optionalKey(Schema.Literals(["human", "bot"])).annotate({
    description: "What a new user is; `human` when it is left out. It changes no existing user"
  })
}).annotate({ identifier: "ServerProfile" })
export type ServerProfile = typeof ServerProfile.Type

/** A user to make or update. */
export const NewServerUser = Schema.Struct({ externalId: ExternalId, ...ServerProfile.fields }).annotate({
  identifier: "NewServerUser"
})
export type NewServerUser = typeof NewServerUser.Type

/** How many users one request may make or update. */
const mostServerUsers = 100

/** Several users to make or update. */
export const NewServerUsers = Schema.Struct({
  users: Schema.Array(NewServerUser).check(Schema.isMinLength(1), Schema.isMaxLength(mostServerUsers))
}).annotate({ identifier: "NewServerUsers" })

/** The lifetime of a token that a program asks for: between a minute and a day; an hour when it is left out. */
export const NewUserToken = Schema.Struct({
  expiresInSeconds: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 60, maximum: 24 * 3600 })))
}).annotate({ identifier: "NewUserToken" })
export type NewUserToken = typeof NewUserToken.Type

/** An access token for a user, in a session of its own that expires with it. There is no refresh token: ask again. */
export const UserToken = Schema.Struct({
  accessToken: Schema.String,
  expiresIn: Schema.Int,
  sessionId: SessionId,
  user: ServerUser
}).annotate({ identifier: "UserToken" })
export type UserToken = typeof UserToken.Type
