import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Unread } from "../domain/Conversation.ts"
import { UserId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { AccountDeletion, Me, ProfileChange, User, UserQuery } from "../domain/User.ts"
import { Authorization, JsonBody } from "./Middleware.ts"

const me = HttpApiEndpoint.get("me", "/v1/users/me", { success: Me, error: [NotFound, Unavailable] }).annotateMerge(
  OpenApi.annotations({ summary: "My profile", description: "With my e-mail address, which nobody else sees." })
)

const update = HttpApiEndpoint.patch("update", "/v1/users/me", {
  payload: ProfileChange,
  success: Me,
  error: [InvalidRequest, NotFound, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Change my profile",
      description: "Changes the fields that are given; `avatarUrl: null` removes the picture."
    })
  )

const remove = HttpApiEndpoint.delete("delete", "/v1/users/me", {
  payload: AccountDeletion,
  success: HttpApiSchema.NoContent,
  error: [InvalidRequest, Forbidden, RateLimited, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Delete my account",
      description:
        "For good. I leave all groups (the last owner of one hands over as by leaving), my sessions end and my sockets are closed with 4504. My messages stay, under a user of whom nothing else is left; e-mail address and username are free again. 403 when the password is wrong. After 503 some groups may be left already: ask again."
    })
  )

const unread = HttpApiEndpoint.get("unread", "/v1/users/me/unread", {
  success: Unread,
  error: Unavailable
}).annotateMerge(
  OpenApi.annotations({
    summary: "My unread messages",
    description: "Over all conversations, each counted up to 100."
  })
)

const search = HttpApiEndpoint.get("search", "/v1/users", {
  query: {
    ...pageFields,
    query: UserQuery.annotate({ description: "How the username or the display name begins, in any case" })
  },
  success: Page(User),
  error: [InvalidRequest, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Search users",
    description: "Those whose username begins with `query` come first, then those whose display name does."
  })
)

const get = HttpApiEndpoint.get("get", "/v1/users/:id", {
  params: { id: UserId },
  success: User,
  error: [NotFound, Unavailable]
}).annotateMerge(OpenApi.annotations({ summary: "A user's profile", description: "What everybody may know." }))

export class UserGroup extends HttpApiGroup.make("user")
  .add(me, update, remove, unread, search, get)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "Profiles" })) {}
