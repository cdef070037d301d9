import { Context, Effect, Layer, Schema } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { InviteCode, UserId } from "../domain/Ids.ts"
import { invalidData } from "../domain/InvalidData.ts"
import { CloseCode } from "../domain/Protocol.ts"
import { Login } from "../domain/Session.ts"
import { NewGuest, Registration } from "../domain/User.ts"
import { Api } from "../operations/Api.ts"
import { type ExternalOptions, makeExternal } from "./credentials/External.ts"
import { joinHolders, type TokenStorage } from "./credentials/Holders.ts"
import { ConnectionLost, Refused } from "./Failures.ts"
import type { Tokens } from "./Plain.ts"
import { isTracing, propagateTrace } from "./Traces.ts"

const tracedClient = Effect.map(Effect.all([HttpClient.HttpClient, isTracing]), ([client, tracing]) =>
  propagateTrace(tracing)(client)
).pipe(Effect.provide(FetchHttpClient.layer))

const call = <const Endpoint extends "login" | "refresh" | "register">(baseUrl: string, endpoint: Endpoint) =>
  Effect.flatMap(tracedClient, (httpClient) =>
    HttpApiClient.endpoint(Api, { group: "auth", endpoint, baseUrl, httpClient })
  )

const lost = (cause: unknown) => Effect.fail(new ConnectionLost({ cause }))

/** Input that the service would refuse is not sent. */
const checked = <A, I>(schema: Schema.Codec<A, I>, input: I) =>
  Effect.mapError(Schema.decodeUnknownEffect(schema, { errors: "all" })(input), invalidData)

/**
 * Creates an account. It starts no session. Fails with a problem, whose `errors` name the invalid fields, or with
 * `ConnectionLost` when there was no answer of the service.
 */
export const register = Effect.fn("chat.register")(function* (url: string, registration: typeof Registration.Encoded) {
  const payload = yield* checked(Registration, registration)
  const request = yield* call(url, "register")
  return yield* request({ payload }).pipe(Effect.catchTags({ HttpClientError: lost, SchemaError: lost }))
})

/**
 * Starts a session. Keep the tokens, and those given to `onRenewed` later, to stay signed in across restarts. Fails as
 * `register` does.
 */
export const login = Effect.fn("chat.login")(function* (url: string, credentials: typeof Login.Encoded) {
  const payload = yield* checked(Login, credentials)
  const request = yield* call(url, "login")
  return yield* request({ payload }).pipe(Effect.catchTags({ HttpClientError: lost, SchemaError: lost }))
})

/** Somebody without an account, and the code of an invite that admits guests. */
const Joining = Schema.Struct({ code: InviteCode, ...NewGuest.fields })

/**
 * Joins the group of an invite without an account, and starts the session of the guest, which is the only way back in: keep
 * the tokens as those of `login`. Fails as `register` does, and with `NotFound` when the invite admits no guests.
 */
export const joinAsGuest = Effect.fn("chat.joinAsGuest")(function* (url: string, guest: typeof Joining.Encoded) {
  const { code, ...payload } = yield* checked(Joining, guest)
  const httpClient = yield* tracedClient
  const request = yield* HttpApiClient.endpoint(Api, { group: "invite", endpoint: "guest", baseUrl: url, httpClient })
  return yield* request({ params: { code }, payload }).pipe(
    Effect.catchTags({ HttpClientError: lost, SchemaError: lost })
  )
})

const decodeUserId = Schema.decodeSync(UserId)

/** How long a renewal may take. It holds the lock of the storage meanwhile. */
const refreshTimeout = "10 seconds"

/** Whose credentials they are, and where they are kept. */
export interface CredentialsOptions {
  /** The URL of the service: `https://chat.example.com`. */
  readonly url: string
  readonly tokens: Tokens
  /** Where the tokens are kept, so that several clients, also in several processes, can share one session. */
  readonly storage?: TokenStorage | undefined
  /** Receives each new pair before it is used: an app that stores tokens replaces the old ones by it. */
  readonly onRenewed?: ((tokens: Tokens) => void | Promise<void>) | undefined
}

/** The user as whom the client acts, and its access token. */
export class Credentials extends Context.Service<
  Credentials,
  {
    readonly userId: UserId
    /** The access token, which may have expired. Fails as `renewed` does when the app has not given one yet. */
    readonly token: Effect.Effect<string, Refused | ConnectionLost>
    /**
     * A token other than `old`. Calls at the same time share one renewal, also those of other clients of the session. The
     * token may come from the storage and have expired too, so a caller whose token is refused again calls once more.
     * Fails with `Refused` when the session has ended, and with `ConnectionLost` when the service cannot be reached.
     */
    readonly renewed: (old: string) => Effect.Effect<string, Refused | ConnectionLost>
  }
>()("chat/client/Credentials") {
  /** Renews with the refresh token, over HTTP. A failure of the storage is `ConnectionLost`: it is tried again later. */
  static readonly layer = (options: CredentialsOptions) =>
    Layer.effect(
      Credentials,
      Effect.gen(function* () {
        const refresh = yield* call(options.url, "refresh")
        const holder = yield* joinHolders(options.url, options.tokens, options.storage, options.onRenewed)

        const exchange = (refreshToken: string) =>
          refresh({ payload: { refreshToken } }).pipe(
            Effect.timeout(refreshTimeout),
            Effect.mapError((error) =>
              error._tag === "Unauthenticated"
                ? new Refused({ code: CloseCode.unauthenticated, cause: error })
                : new ConnectionLost({ cause: error })
            )
          )

        return Credentials.of({
          userId: decodeUserId(options.tokens.user.id),
          token: Effect.sync(() => holder.tokens().accessToken),
          renewed: (old) => Effect.map(holder.renew(old, exchange), () => holder.tokens().accessToken)
        })
      })
    )

  /**
   * The credentials of a user of an app, whose tokens the app gives. Waits for the first of them until it is known who the
   * user is. Fails with `Refused` when the service knows no such user.
   */
  static readonly external = (options: ExternalOptions) => Layer.effect(Credentials, makeExternal(options))
}
