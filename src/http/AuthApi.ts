import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Conflict, Forbidden, InvalidRequest, RateLimited, Unauthenticated, Unavailable } from "../domain/Problem.ts"
import { Login, PasswordChange, Refresh, Tokens } from "../domain/Session.ts"
import { Me, Registration } from "../domain/User.ts"
import { Authorization, JsonBody } from "./Middleware.ts"

const register = HttpApiEndpoint.post("register", "/v1/auth/register", {
  payload: Registration,
  success: Me.pipe(HttpApiSchema.status(201)),
  error: [InvalidRequest, Conflict, RateLimited, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Make an account",
    description:
      "Answers with the new user. 409 `email-taken` or `username-taken` when another account has it. Log in next: this starts no session."
  })
)

const login = HttpApiEndpoint.post("login", "/v1/auth/login", {
  payload: Login,
  success: Tokens,
  error: [InvalidRequest, Unauthenticated, RateLimited, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Log in",
    description:
      "Starts a session. `login` is an e-mail address or a username. An unknown account and a wrong password are the same 401. Too many failures of an account or an address are a 429. To a page of an allowed origin the access token is also given as the cookie `access_token`."
  })
)

const refresh = HttpApiEndpoint.post("refresh", "/v1/auth/refresh", {
  payload: Refresh,
  success: Tokens,
  error: [InvalidRequest, Unauthenticated, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Get new tokens",
    description:
      "Gives a new pair for a refresh token. The previous one is good for 60 s more while nothing of the new pair was used, since this answer may be lost. Any other second use ends the session: somebody may have stolen the token."
  })
)

const logout = HttpApiEndpoint.post("logout", "/v1/auth/logout", { error: Unavailable })
  .middleware(Authorization)
  .annotateMerge(
    OpenApi.annotations({ summary: "Log out", description: "Ends this session and closes its sockets (4503)." })
  )

const password = HttpApiEndpoint.post("password", "/v1/auth/password", {
  payload: PasswordChange,
  error: [InvalidRequest, Forbidden, RateLimited, Unavailable]
})
  .middleware(JsonBody)
  .middleware(Authorization)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Change my password",
      description: "Every other session ends. A wrong `currentPassword` is a 403 and counts as a failed login."
    })
  )

export class AuthGroup extends HttpApiGroup.make("auth")
  .add(register.middleware(JsonBody), login.middleware(JsonBody), refresh.middleware(JsonBody), logout, password)
  .annotateMerge(OpenApi.annotations({ description: "Accounts, signing in and tokens" })) {}
