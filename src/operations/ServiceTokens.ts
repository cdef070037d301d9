import { ServiceTokenId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { CreatedServiceToken, NewServiceToken, ServiceToken } from "../domain/ServiceToken.ts"
import { feature, operation } from "./Operation.ts"

/** The operations on service tokens. */
export const ServiceTokens = feature(
  { token: "For operators: service tokens" },
  operation("token.create", {
    http: "POST /v1/server/tokens",
    payload: NewServiceToken,
    success: CreatedServiceToken,
    status: 201,
    problems: [InvalidRequest, Forbidden, Unavailable],
    scope: "tokens",
    summary: "Create a service token",
    description:
      "`token` is in this answer only, because the service stores nothing but its hash. A token can give no scope that it does not have itself (403)."
  }),
  operation("token.list", {
    http: "GET /v1/server/tokens",
    query: pageFields,
    success: Page(ServiceToken),
    problems: [InvalidRequest, Unavailable],
    scope: "tokens",
    summary: "List the service tokens",
    description: "Lists the tokens that are not revoked, also those that have expired, the newest first."
  }),
  operation("token.revoke", {
    http: "DELETE /v1/server/tokens/:tokenId",
    params: { tokenId: ServiceTokenId },
    problems: [NotFound, Unavailable],
    scope: "tokens",
    summary: "Revoke a service token",
    description: "The token stops working on every node at once. A token may revoke itself."
  })
)
