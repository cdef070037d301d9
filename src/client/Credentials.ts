import { Context, Effect, Layer, Semaphore } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import type { UserId } from "../domain/Ids.ts"
import type { Login, Tokens } from "../domain/Session.ts"
import type { Registration } from "../domain/User.ts"
import { Api } from "../http/Api.ts"
import { ConnectionLost, Refused } from "./Failures.ts"
import { isTracing, tellTrace } from "./Traces.ts"

const call = <const Endpoint extends "login" | "refresh" | "register">(baseUrl: string, endpoint: Endpoint) =>
  Effect.flatMap(Effect.all([HttpClient.HttpClient, isTracing]), ([client, tracing]) =>
    HttpApiClient.endpoint(Api, { group: "auth", endpoint, baseUrl, httpClient: tellTrace(tracing)(client) })
  ).pipe(Effect.provide(FetchHttpClient.layer))

/** A new account, which starts no session. */
export const register = Effect.fn("chat.register")(function* (url: string, payload: Registration) {
  return yield* (yield* call(url, "register"))({ payload })
})

/** A new session: keep what this gives (and `onRenewed` tells) to stay signed in across restarts. */
export const login = Effect.fn("chat.login")(function* (url: string, payload: Login) {
  return yield* (yield* call(url, "login"))({ payload })
})

export interface CredentialsOptions {
  /** Of the service: `https://chat.example.com`. */
  readonly url: string
  readonly tokens: Tokens
  /** Told each new pair before it is used: an app that keeps tokens keeps these in place of the old ones. */
  readonly onRenewed?: ((tokens: Tokens) => void | Promise<void>) | undefined
}

/** As whom the client acts. */
export class Credentials extends Context.Service<
  Credentials,
  {
    readonly userId: UserId
    /** The access token, which may have expired. */
    readonly token: Effect.Effect<string>
    /** Another one than `old`. Those who ask at the same time get the same. */
    readonly renewed: (old: string) => Effect.Effect<string, Refused | ConnectionLost>
  }
>()("chat/client/Credentials") {
  /** Renews with the refresh token, over HTTP. */
  static readonly layer = (options: CredentialsOptions) =>
    Layer.effect(
      Credentials,
      Effect.gen(function* () {
        const refresh = yield* call(options.url, "refresh")
        const oneAtATime = yield* Semaphore.make(1)
        let { tokens } = options

        const renew = Effect.gen(function* () {
          const renewed = yield* refresh({ payload: { refreshToken: tokens.refreshToken } }).pipe(
            Effect.mapError((error) =>
              error._tag === "Unauthenticated"
                ? new Refused({ code: 4502, cause: error })
                : new ConnectionLost({ cause: error })
            )
          )
          yield* Effect.promise(async () => options.onRenewed?.(renewed))
          tokens = renewed
        })

        return Credentials.of({
          userId: tokens.user.id,
          token: Effect.sync(() => tokens.accessToken),
          renewed: (old) =>
            Effect.suspend(() => (tokens.accessToken === old ? renew : Effect.void)).pipe(
              oneAtATime.withPermit,
              Effect.map(() => tokens.accessToken)
            )
        })
      })
    )
}
