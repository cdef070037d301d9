import { HttpApiSchema } from "effect/http-api"
import {
  Conflict,
  Forbidden,
  InvalidRequest,
  NotFound,
  RateLimited,
  Unauthenticated,
  Unavailable
} from "../domain/Problem.ts"
import { ExchangedTokens, Login, PasswordChange, Refresh, TokenExchange, Tokens } from "../domain/Session.ts"
import { Me, Registration } from "../domain/User.ts"
import { feature, operation } from "./Operation.ts"

/** The operations that need no session, and those that change or end the caller's own one. */
export const Account = feature(
  { auth: "Accounts, signing in and tokens" },
  operation("auth.register", {
    http: "POST /v1/auth/register",
    payload: Registration,
    success: Me,
    status: 201,
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, RateLimited, Unavailable],
    open: true,
    summary: "Create an account",
    description:
      "Returns the new user. 409 `email-taken` or `username-taken` when another account has it. This starts no session: log in next. With an `inviteCode` the new user joins the group of that invite; 404, and no account, when the invite cannot be accepted. The operator may permit registrations with an invite only (403 `invite-required`) or none at all (403 `registration-closed`, or `passwords-disabled` where nobody has a password)."
  }),
  operation("auth.login", {
    http: "POST /v1/auth/login",
    payload: Login,
    success: Tokens,
    problems: [InvalidRequest, Unauthenticated, Forbidden, RateLimited, Unavailable],
    open: true,
    summary: "Log in",
    description:
      "Starts a session. `login` is an e-mail address or a username. An unknown account and a wrong password are the same 401. The right password of a disabled account is a 403 `account-disabled`. A service that knows its users by external tokens alone answers 403 `passwords-disabled`. Too many failures for an account or from an address are a 429, and so are too many logins of an account. A user has a limited number of sessions: a further login ends the one that was used longest ago. A page of an allowed origin also gets the access token as the cookie `access_token`."
  }),
  operation("auth.exchange", {
    http: "POST /v1/auth/exchange",
    payload: TokenExchange,
    success: ExchangedTokens,
    problems: [InvalidRequest, Unauthenticated, Forbidden, RateLimited, Unavailable],
    open: true,
    overHttp: { payload: TokenExchange.pipe(HttpApiSchema.asFormUrlEncoded()) },
    summary: "Exchange an external token",
    description:
      "Starts a session with the token of an issuer that the service trusts, in place of a password (RFC 8693; over HTTP the body is a form). Its tokens are our own, so a page can refresh them and gets the cookie of a login. The external token itself can be used in their place everywhere, without this. 401 `token-invalid` says in `detail` what is wrong with the token. 403 `not-provisioned` when its user must be made by the server of the app first, and `account-disabled`."
  }),
  operation("auth.refresh", {
    http: "POST /v1/auth/refresh",
    payload: Refresh,
    success: Tokens,
    problems: [InvalidRequest, Unauthenticated, RateLimited, Unavailable],
    open: true,
    summary: "Get new tokens",
    description:
      "Exchanges a refresh token for a new pair of tokens. Because this answer may be lost, the previous refresh token is accepted for another 60 s while nothing of the new pair has been used. Any other second use ends the session, because somebody may have stolen the token."
  }),
  operation("auth.logout", {
    http: "POST /v1/auth/logout",
    problems: [Forbidden, Unavailable],
    summary: "Log out",
    description: "Ends this session and closes its sockets (4503)."
  }),
  operation("auth.password", {
    http: "POST /v1/auth/password",
    payload: PasswordChange,
    problems: [InvalidRequest, Forbidden, RateLimited, Unavailable],
    summary: "Change my password",
    description:
      "Every other session ends. A wrong `currentPassword` is a 403 and counts as a failed login. 403 `passwords-disabled` where nobody has a password."
  })
)
