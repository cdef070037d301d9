import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Unread } from "../domain/Conversation.ts"
import { UserId } from "../domain/Ids.ts"
import { Page } from "../domain/Page.ts"
import { InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { Me, ProfileChange, User, UserQuery } from "../domain/User.ts"
import { Authorization, JsonBody } from "./Middleware.ts"
import { pageQuery } from "./Paging.ts"

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
    ...pageQuery,
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
  .add(me, update, unread, search, get)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "Profiles" })) {}
