import { webcrypto } from "node:crypto"
import { Clock, Duration, Effect, Option, Redacted, Schema, Semaphore } from "effect"
import { createLocalJWKSet, type JWTVerifyGetKey } from "jose"
import { Unavailable } from "../../../domain/Problem.ts"
import { issuerKeyFetches, issuerKeysFailing } from "../../platform/MetricDefinitions.ts"
import { Metrics } from "../../platform/Metrics.ts"
import { monotonicMillis } from "../../platform/Monotonic.ts"
import type { Issuer } from "../../platform/settings/IssuerSettings.ts"
import { KeyDocuments, KeysUnavailable } from "./KeyDocuments.ts"

/** The keys of one issuer. They belong to it alone: a key id means nothing without its issuer. */
interface KeySet {
  /**
   * Runs `verify` with the keys; once more when a key was missing and newer keys could be had. A key that is missing then is
   * certain not to exist when the keys were fetched after the call, or `issuedAt`, which is when its token was issued, in
   * milliseconds since 1970. Else the issuer may have a new key, and the call fails with `Unavailable`, as it does while there
   * are no keys.
   */
  readonly use: <A, E>(
    verify: (keys: JWTVerifyGetKey) => Effect.Effect<A, E>,
    isMissing: (error: E) => boolean,
    issuedAt: number
  ) => Effect.Effect<A, E | Unavailable>
}

/** Keys are fetched again when they are older, while the older ones still serve. So a key that is withdrawn goes soon. */
const freshFor = Duration.toMillis("10 minutes")

/** Keys that cannot be fetched again are good for this long. */
const goodFor = Duration.toMillis("24 hours")

/** How soon a fetch may follow another one: tokens with invented key ids must not become requests to the issuer. */
const interval = Duration.toMillis("30 seconds")

/** The same while there are no keys at all, so that nobody can sign in. */
const intervalWithout = Duration.toMillis("5 seconds")

/** How far the clocks of an issuer and of a node may be apart, in milliseconds. */
export const skew = Duration.toMillis("30 seconds")

const noKeys = new Unavailable({ detail: "The keys of the token's issuer cannot be had right now" })

const notYet = (waitMs: number) =>
  new Unavailable({
    detail: "The key of the token is not known; the issuer is asked for new keys again after the time in retryAfterMs",
    retryAfterMs: Math.max(1, Math.ceil(waitMs))
  })

const Jwk = Schema.Struct({
  kty: Schema.Literals(["EC", "OKP", "RSA"]),
  ...Object.fromEntries(
    ["alg", "crv", "e", "kid", "n", "use", "x", "y"].map((key) => [key, Schema.optionalKey(Schema.String)])
  )
})
const readKey = Schema.decodeUnknownOption(Jwk)
const readDocument = Schema.decodeUnknownOption(Schema.Struct({ keys: Schema.Array(Schema.Unknown) }))

/** The public keys of a document. What is not one is left out, such as a secret for HS256. */
const publicKeysOf = (document: unknown) =>
  Option.match(readDocument(document), {
    onNone: () => Effect.fail(new KeysUnavailable({ reason: "the document has no list of keys" })),
    onSome: ({ keys }) =>
      Effect.succeed(createLocalJWKSet({ keys: keys.flatMap((key) => Option.toArray(readKey(key))) }))
  })

/** The keys that the settings have. */
const fixedKeys = (keys: Effect.Effect<JWTVerifyGetKey>): Effect.Effect<KeySet> =>
  Effect.map(keys, (found) => ({ use: (verify) => verify(found) }))

const sharedKey = (secret: Redacted.Redacted<string>) =>
  Effect.map(
    Effect.promise(() =>
      webcrypto.subtle.importKey(
        "raw",
        new TextEncoder().encode(Redacted.value(secret)),
        { name: "HMAC", hash: "SHA-256" },
        false,
        ["verify"]
      )
    ),
    (key): JWTVerifyGetKey =>
      () =>
        key
  )

/** Makes the fetch of the keys at an address; undefined when they cannot be had, which is counted, and logged once. */
const makeFetch = Effect.fnUntraced(function* (issuer: string, uri: string) {
  const documents = yield* KeyDocuments
  const metrics = yield* Metrics
  const fetched = metrics.counter(issuerKeyFetches, { issuer, outcome: "ok" })
  const failed = metrics.counter(issuerKeyFetches, { issuer, outcome: "error" })
  const failing = metrics.gauge(issuerKeysFailing, { issuer })
  let isFailing = false

  return documents.fetch(uri).pipe(
    Effect.flatMap(publicKeysOf),
    Effect.matchEffect({
      onSuccess: (keys) => {
        fetched()
        failing(0)
        const again = isFailing ? Effect.logInfo("the keys of an issuer can be had again", { issuer }) : Effect.void
        isFailing = false
        return Effect.as(again, keys)
      },
      onFailure: ({ reason }) => {
        failed()
        failing(1)
        const words = "the keys of an issuer cannot be had; known ones are good for 24 hours"
        const first = isFailing ? Effect.void : Effect.logWarning(words, { issuer, reason })
        isFailing = true
        return Effect.as(first, undefined)
      }
    })
  )
})

/** The keys at an address. */
const publishedKeys = Effect.fnUntraced(function* (issuer: string, uri: string) {
  const clock = yield* Clock.Clock
  const fetch = yield* makeFetch(issuer, uri)
  const scope = yield* Effect.scope
  const turn = Semaphore.makeUnsafe(1)

  let keys: JWTVerifyGetKey | undefined
  let fetchedAt = Number.NEGATIVE_INFINITY
  /** The number of the attempt that gave the keys, and the time of day at which it began. */
  let origin = { attempt: 0, at: 0 }
  let attempts = 0
  let attemptedAt = Number.NEGATIVE_INFINITY
  let isRefreshing = false
  const age = () => monotonicMillis(clock) - fetchedAt
  const goodKeys = () => (age() < goodFor ? keys : undefined)
  const waitMs = () => attemptedAt + (goodKeys() === undefined ? intervalWithout : interval) - monotonicMillis(clock)

  const attempt = Effect.suspend(() => {
    attemptedAt = monotonicMillis(clock)
    const begun = { attempt: ++attempts, at: clock.currentTimeMillisUnsafe() }
    return Effect.map(fetch, (found) => {
      if (found === undefined) return
      keys = found
      fetchedAt = monotonicMillis(clock)
      origin = begun
    })
  }).pipe(Effect.uninterruptible)

  /** Fetches the keys, unless that was tried since `seen`, which is what `attempts` was, or not long ago. */
  const refetch = (seen: number) =>
    turn.withPermits(1)(Effect.suspend(() => (attempts !== seen || waitMs() > 0 ? Effect.void : attempt)))

  /** Fetches in the background, for the next token. */
  const refresh = Effect.suspend(() => {
    if (isRefreshing || age() < freshFor) return Effect.void
    isRefreshing = true
    const done = Effect.sync(() => {
      isRefreshing = false
    })
    return Effect.asVoid(Effect.forkIn(Effect.ensuring(refetch(attempts), done), scope))
  })

  const current = Effect.suspend(() => {
    const good = goodKeys()
    if (good !== undefined) return Effect.as(refresh, good)
    return Effect.flatMap(refetch(attempts), () => {
      const fetched = goodKeys()
      return fetched === undefined ? Effect.fail(noKeys) : Effect.succeed(fetched)
    })
  })

  /** Whether a key that is missing may be newer than the keys. */
  const maybeNewer = (seen: number, issuedAt: number) => {
    const soonest = clock.currentTimeMillisUnsafe() + skew
    return origin.attempt <= seen && issuedAt <= soonest && issuedAt > origin.at - skew
  }

  const keySet: KeySet = {
    use: (verify, isMissing, issuedAt) =>
      Effect.suspend(() => {
        const seen = attempts
        return Effect.flatMap(current, (first) =>
          verify(first).pipe(
            Effect.catchIf(isMissing, (error) =>
              Effect.flatMap(refetch(seen), () =>
                keys === undefined || keys === first ? Effect.fail(error) : verify(keys)
              )
            ),
            Effect.catchIf(isMissing, (error) => Effect.fail(maybeNewer(seen, issuedAt) ? notYet(waitMs()) : error))
          )
        )
      })
  }
  return keySet
})

/** Makes the keys of an issuer. Nothing is fetched before the first token. */
export const makeKeySet = ({ issuer, jwksUri, keys, secret }: Issuer) => {
  if (jwksUri !== undefined) return publishedKeys(issuer, jwksUri)
  if (secret !== undefined) return fixedKeys(sharedKey(secret))
  return fixedKeys(Effect.sync(() => createLocalJWKSet({ keys: [...(keys ?? [])] })))
}
