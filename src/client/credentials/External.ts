import { Effect, Latch, Option, Schema } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import type { UserId } from "../../domain/Ids.ts"
import { Forbidden, Unauthenticated } from "../../domain/Problem.ts"
import { CloseCode } from "../../domain/Protocol.ts"
import { Me } from "../../domain/User.ts"
import { ConnectionLost, Refused } from "../Failures.ts"
import { jitter, whenBrowser } from "../Platform.ts"
import { type Database, stored } from "../storage/Database.ts"
import { storedUser } from "../storage/StoredTokens.ts"
import { isTracing, propagateTrace } from "../Traces.ts"

/**
 * Gives the current token of the user of an app. It is asked again when that token expires or is refused, by one caller for
 * all that wait. A rejection is tried again after growing pauses; a rejection with `Refused` ends the client.
 */
export type TokenSource = () => string | Promise<string>

/** Whose credentials they are. */
export interface ExternalOptions {
  /** The URL of the service: `https://chat.example.com`. */
  readonly url: string
  readonly token: TokenSource
  /** Where it is kept who the user is, so that the client starts without a network. */
  readonly database?: Database | undefined
}

/** How long the app may take to give a token. */
const tokenTimeout = "10 seconds"

/** Makes an effect that asks the app for a token; callers at the same time share one question. */
const makeAsk = (source: TokenSource) => {
  let asked: Promise<string> | undefined
  const forget = () => {
    asked = undefined
  }
  return Effect.tryPromise({
    try: () => {
      asked ??= Promise.resolve().then(source).finally(forget)
      return asked
    },
    catch: (cause) => (cause instanceof Refused ? cause : new ConnectionLost({ cause }))
  }).pipe(
    Effect.timeoutOrElse({
      duration: tokenTimeout,
      orElse: () => Effect.andThen(Effect.sync(forget), Effect.fail(new ConnectionLost({})))
    })
  )
}

const Claims = Schema.Struct({ iss: Schema.optionalKey(Schema.String), sub: Schema.String })
const decodeClaims = Schema.decodeUnknownOption(
  Schema.StringFromBase64Url.pipe(Schema.decodeTo(Schema.fromJsonString(Claims)))
)

/** Whom a token names; undefined when it cannot be read. The service alone decides whether that is true. */
const subjectOf = (token: string): string | undefined =>
  Option.getOrUndefined(
    Option.map(decodeClaims(token.split(".")[1]), ({ iss, sub }) => JSON.stringify([iss ?? "", sub]))
  )

const refusalOf = (cause: Unauthenticated | Forbidden) =>
  new Refused({
    code: cause.code === "account-disabled" ? CloseCode.accountDisabled : CloseCode.unauthenticated,
    cause
  })

/** Asks the service who the user of a token is. */
const makeWho = Effect.fnUntraced(function* (url: string) {
  const client = propagateTrace(yield* isTracing)(yield* HttpClient.HttpClient)
  const read = Effect.fnUntraced(function* (response: HttpClientResponse.HttpClientResponse) {
    const { status } = response
    if (status === 200) return yield* HttpClientResponse.schemaBodyJson(Me)(response)
    if (status !== 401 && status !== 403) return yield* new ConnectionLost({ cause: status })
    return yield* refusalOf(
      yield* HttpClientResponse.schemaBodyJson(Schema.Union([Unauthenticated, Forbidden]))(response)
    )
  })
  return (token: string): Effect.Effect<UserId, Refused | ConnectionLost> =>
    client.execute(HttpClientRequest.get(`${url}/v1/users/me`).pipe(HttpClientRequest.bearerToken(token))).pipe(
      Effect.flatMap(read),
      Effect.timeout(tokenTimeout),
      Effect.map(({ id }) => id),
      Effect.mapError((error) => (error._tag === "Refused" ? error : new ConnectionLost({ cause: error })))
    )
}, Effect.provide(FetchHttpClient.layer))

/** Makes credentials of the tokens that an app gives, once it is known who the user is. */
export const makeExternal = Effect.fnUntraced(function* ({ database, token: source, url }: ExternalOptions) {
  const who = yield* makeWho(url)
  const ask = makeAsk(source)
  let current: string | undefined
  const asked = Effect.map(ask, (given) => {
    current = given
    return given
  })
  const token = Effect.suspend(() => (current === undefined ? asked : Effect.succeed(current)))
  const renewed = (old: string) => Effect.suspend(() => (current === old ? asked : token))

  const users = database && storedUser(database)
  const known = users && (yield* stored(users.load, undefined))
  const identify = Effect.gen(function* () {
    const given = yield* token
    const subject = subjectOf(given)
    if (known !== undefined && known.subject === subject) return known.userId
    const userId = yield* who(given).pipe(Effect.catchTag("Refused", () => Effect.flatMap(renewed(given), who)))
    if (users !== undefined && subject !== undefined) yield* stored(() => users.save({ subject, userId }), undefined)
    return userId
  })

  const alarm = yield* Latch.make(false)
  yield* whenBrowser("online", alarm.open)
  const persistently = (attempt: number): Effect.Effect<UserId, Refused> =>
    Effect.catchTag(identify, "ConnectionLost", () =>
      // Without a network, it is the user who was here last.
      known !== undefined
        ? Effect.succeed(known.userId)
        : Effect.gen(function* () {
            yield* alarm.close
            yield* Effect.raceFirst(Effect.sleep(yield* jitter(attempt)), alarm.await)
            return yield* persistently(attempt + 1)
          })
    )
  return { userId: yield* persistently(0), token, renewed }
})
