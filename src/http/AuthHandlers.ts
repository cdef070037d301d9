import { Effect } from "effect"
import { HttpServerRequest } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { Tokens } from "../domain/Session.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Sessions } from "../services/Sessions.ts"
import { Settings } from "../services/Settings.ts"
import { Users } from "../services/Users.ts"
import { Api } from "./Api.ts"
import { CurrentRequest } from "./CurrentRequest.ts"
import { accessTokenCookie } from "./Middleware.ts"

const device = Effect.gen(function* () {
  const { headers } = yield* HttpServerRequest.HttpServerRequest
  const { address } = yield* CurrentRequest
  return { userAgent: headers["user-agent"] ?? "", ip: address }
})

export const layer = HttpApiBuilder.group(
  Api,
  "auth",
  Effect.fn(function* (handlers) {
    const sessions = yield* Sessions
    const users = yield* Users
    const { server } = yield* Settings

    const setCookie = (token: string, maxAgeSeconds: number) =>
      HttpApiBuilder.securitySetCookie(accessTokenCookie, token, {
        secure: server.origin.startsWith("https:"),
        sameSite: "lax",
        path: "/",
        maxAge: `${maxAgeSeconds} seconds`
      })

    /** Browsers say from which page they ask; nobody else has a use for the cookie. */
    const withCookie = Effect.fnUntraced(function* (tokens: Tokens) {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      if (server.allowedOrigins.includes(headers.origin ?? "")) yield* setCookie(tokens.accessToken, tokens.expiresIn)
      return tokens
    })

    return handlers.handleAll({
      register: Effect.fnUntraced(function* ({ payload }) {
        const { address } = yield* CurrentRequest
        return yield* users.register({ ...payload, ip: address })
      }),
      login: Effect.fnUntraced(function* ({ payload }) {
        return yield* withCookie(yield* sessions.login({ ...payload, ...(yield* device) }))
      }),
      refresh: Effect.fnUntraced(function* ({ payload }) {
        return yield* withCookie(yield* sessions.refresh({ ...payload, ...(yield* device) }))
      }),
      logout: Effect.fnUntraced(function* () {
        yield* sessions.logout(yield* CurrentPrincipal)
        const { headers } = yield* HttpServerRequest.HttpServerRequest
        if (headers.cookie !== undefined) yield* setCookie("", 0)
      }),
      password: Effect.fnUntraced(function* ({ payload }) {
        yield* sessions.changePassword(yield* CurrentPrincipal, payload)
      })
    })
  })
)
