import { Schema } from "effect"
import { Account, AccountFilter, MessagesOfDeleted } from "../domain/Account.ts"
import { UserId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { feature, operation } from "./Operation.ts"

const account = { userId: UserId }

/** The operations on the accounts of others. */
export const AccountAdmin = feature(
  { admin: "For operators: administration" },
  operation("admin.accounts", {
    http: "GET /v1/server/admin/accounts",
    query: { ...pageFields, ...AccountFilter.fields },
    success: Page(Account),
    problems: [InvalidRequest, Unavailable],
    scope: "admin",
    summary: "List the accounts",
    description: "Lists the accounts that are not deleted, in the order of their usernames."
  }),
  operation("admin.account", {
    http: "GET /v1/server/admin/accounts/:userId",
    params: account,
    success: Account,
    problems: [NotFound, Unavailable],
    scope: "admin",
    summary: "Get an account",
    description: "404 for an account that is deleted."
  }),
  operation("admin.disable", {
    http: "POST /v1/server/admin/accounts/:userId/disable",
    params: account,
    problems: [NotFound, Unavailable],
    scope: "admin",
    summary: "Disable an account",
    description:
      "Keeps the user out until the account is enabled: its sessions end within a second on every node, its sockets are closed with 4504, a login is a 403 `account-disabled`, and its scheduled messages fail. For others nothing changes: the user stays a member and can be written to."
  }),
  operation("admin.enable", {
    http: "POST /v1/server/admin/accounts/:userId/enable",
    params: account,
    problems: [NotFound, Unavailable],
    scope: "admin",
    summary: "Enable an account",
    description: "The user can log in again. Sessions and scheduled messages do not come back."
  }),
  operation("admin.deleteAccount", {
    http: "DELETE /v1/server/admin/accounts/:userId",
    params: account,
    query: { messages: Schema.optionalKey(MessagesOfDeleted) },
    problems: [InvalidRequest, NotFound, Unavailable],
    scope: "admin",
    summary: "Delete an account",
    description:
      "This cannot be undone. It does what `user.delete` does, without the password; `messages` is as for `server.deleteUser`. After a 503 the user may have left some of the groups already: ask again."
  }),
  operation("admin.endSessions", {
    http: "DELETE /v1/server/admin/accounts/:userId/sessions",
    params: account,
    problems: [NotFound, Unavailable],
    scope: "admin",
    summary: "End all sessions of an account",
    description: "Signs out all devices of the user within a second on every node: their sockets are closed with 4503."
  })
)
