import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Block } from "../domain/Block.ts"
import { UserId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { Authorization } from "./Middleware.ts"

const params = { userId: UserId }

const add = HttpApiEndpoint.put("add", "/v1/users/me/blocks/:userId", {
  params,
  success: HttpApiSchema.NoContent,
  error: [InvalidRequest, NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Block a user",
    description:
      "From now on the user's messages to our direct conversation are refused (403), and so is adding me to a group. Who shares a group with me is heard there as before. 404 when there is no such user."
  })
)

const remove = HttpApiEndpoint.delete("remove", "/v1/users/me/blocks/:userId", {
  params,
  success: HttpApiSchema.NoContent,
  error: Unavailable
}).annotateMerge(
  OpenApi.annotations({ summary: "Unblock a user", description: "Succeeds also when the user was not blocked." })
)

const list = HttpApiEndpoint.get("list", "/v1/users/me/blocks", {
  query: pageFields,
  success: Page(Block),
  error: [InvalidRequest, Unavailable]
}).annotateMerge(OpenApi.annotations({ summary: "Whom I have blocked", description: "The latest first." }))

export class BlockGroup extends HttpApiGroup.make("block")
  .add(add, remove, list)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "Whom I do not want to hear from" })) {}
