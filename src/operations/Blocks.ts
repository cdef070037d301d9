import { Block } from "../domain/Block.ts"
import { UserId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { feature, operation } from "./Operation.ts"

const user = { userId: UserId }

/** The operations on the users whom the caller blocks. */
export const Blocks = feature(
  { block: "Users whom I have blocked" },
  operation("block.add", {
    http: "PUT /v1/users/me/blocks/:userId",
    params: user,
    problems: [InvalidRequest, NotFound, Unavailable],
    summary: "Block a user",
    description:
      "From then on the user gets a 403 when sending to our direct conversation or adding me to a group. In groups that we share, messages are delivered as before. 404 when there is no such user."
  }),
  operation("block.remove", {
    http: "DELETE /v1/users/me/blocks/:userId",
    params: user,
    problems: [Unavailable],
    summary: "Unblock a user",
    description: "Succeeds also when the user was not blocked."
  }),
  operation("block.list", {
    http: "GET /v1/users/me/blocks",
    query: pageFields,
    success: Page(Block),
    problems: [InvalidRequest, RateLimited, Unavailable],
    summary: "List blocked users",
    description: "Lists the users whom I have blocked, the latest block first."
  })
)
