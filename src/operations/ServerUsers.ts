import { Schema } from "effect"
import { MessagesOfDeleted } from "../domain/Account.ts"
import { ExternalId } from "../domain/ExternalId.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { NewServerUsers, NewUserToken, ServerProfile, ServerUser, UserToken } from "../domain/ServerUser.ts"
import { CreatedServiceToken, NewBotToken } from "../domain/ServiceToken.ts"
import { feature, operation } from "./Operation.ts"

const user = { externalId: ExternalId }

/** The operations of an application on its own users. */
export const ServerUsers = feature(
  { server: "For applications: their users and conversations" },
  operation("server.upsertUser", {
    http: "PUT /v1/server/users/:externalId",
    params: user,
    payload: ServerProfile,
    success: ServerUser,
    problems: [InvalidRequest, NotFound, Unavailable],
    scope: "users",
    summary: "Make or update a user",
    description:
      "`externalId` is the id of the user at the application. The first request makes the user, whoever asks at the same time, and a later one changes the fields that it has. A user who was deleted is made anew."
  }),
  operation("server.upsertUsers", {
    http: "POST /v1/server/users/batch",
    payload: NewServerUsers,
    success: Schema.Struct({ items: Schema.Array(ServerUser) }),
    problems: [InvalidRequest, Unavailable],
    scope: "users",
    summary: "Make or update up to 100 users",
    description:
      "Does for each of the users what `server.upsertUser` does, all of them or none. The answer has their order."
  }),
  operation("server.getUser", {
    http: "GET /v1/server/users/:externalId",
    params: user,
    success: ServerUser,
    problems: [NotFound, Unavailable],
    scope: "users",
    summary: "Get a user",
    description: "404 for a user who was never made, and for one who is deleted."
  }),
  operation("server.deleteUser", {
    http: "DELETE /v1/server/users/:externalId",
    params: user,
    query: { messages: Schema.optionalKey(MessagesOfDeleted) },
    problems: [InvalidRequest, NotFound, Unavailable],
    scope: "users",
    summary: "Delete a user",
    description:
      "This cannot be undone. It does what `user.delete` does: the messages stay, under a deleted user, unless `messages` is `erase`. Then each of them is deleted for everybody (`message.deleted`) in the background, with its files, earlier bodies, reactions and votes; this begins within a second and goes on after a restart. After a 503 the user may have left some of the groups already: ask again."
  }),
  operation("server.createToken", {
    http: "POST /v1/server/users/:externalId/tokens",
    params: user,
    payload: NewUserToken,
    success: UserToken,
    status: 201,
    problems: [InvalidRequest, Forbidden, NotFound, Unavailable],
    scope: "users",
    summary: "Make an access token for a user",
    description:
      "For applications that sign no tokens themselves: hand the token to the client of the user. It is a session of its own, which ends with the token. 403 `account-disabled` for a disabled account."
  }),
  operation("server.createBotToken", {
    http: "POST /v1/server/users/:externalId/bot-tokens",
    params: user,
    payload: NewBotToken,
    success: CreatedServiceToken,
    status: 201,
    problems: [InvalidRequest, NotFound, Conflict, Unavailable],
    scope: "users",
    summary: "Make a token for a bot",
    description:
      "The bot signs in with `token` as users do with their access tokens; it is in this answer only. It ends when it expires, with `token.revoke`, with `server.revokeUser` and with the bot. 409 `not-a-bot` for a person."
  }),
  operation("server.revokeUser", {
    http: "POST /v1/server/users/:externalId/revoke",
    params: user,
    problems: [NotFound, Unavailable],
    scope: "users",
    summary: "Sign a user out everywhere",
    description:
      "Ends all sessions of the user within a second on every node, and refuses tokens of an issuer from before. The tokens of a bot end too. The user may get new ones."
  })
)
