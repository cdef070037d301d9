import { NewPassword, PasswordReset } from "../domain/Account.ts"
import { UserId } from "../domain/Ids.ts"
import { InvalidRequest, NotFound, RateLimited, Unauthenticated, Unavailable } from "../domain/Problem.ts"
import { PasswordResetUse } from "../domain/Session.ts"
import { feature, operation } from "./Operation.ts"

const account = { userId: UserId }

/** The operations that give a user a new password. */
export const PasswordResets = feature(
  {},
  operation("admin.setPassword", {
    http: "PUT /v1/server/admin/accounts/:userId/password",
    params: account,
    payload: NewPassword,
    problems: [InvalidRequest, NotFound, RateLimited, Unavailable],
    scope: "admin",
    summary: "Set the password of an account",
    description: "All sessions of the user end. The rules for passwords are the same as for the user."
  }),
  operation("admin.resetPassword", {
    http: "POST /v1/server/admin/accounts/:userId/password-reset",
    params: account,
    success: PasswordReset,
    status: 201,
    problems: [NotFound, Unavailable],
    scope: "admin",
    summary: "Make a token for a new password",
    description:
      "Hand the token to the user, for example in a link to a page of yours that calls `auth.reset`. It can be used once, within an hour, and replaces an earlier one. It is in this answer only."
  }),
  operation("auth.reset", {
    http: "POST /v1/auth/password/reset",
    payload: PasswordResetUse,
    problems: [InvalidRequest, Unauthenticated, RateLimited, Unavailable],
    open: true,
    summary: "Set a new password with a token",
    description:
      "An operator gives the token. It can be used once, within an hour; otherwise this is a 401 `token-invalid`. All sessions end: log in next. A new password that is refused does not use the token up."
  })
)
